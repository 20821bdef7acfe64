"""What `write_targets` writes, held against the graphs' own files.

The checks take a manifest and a bundle's folder, so they run on any bundle. Compilers that
cannot be installed are stood in for by a program that notes its arguments: scripts are
run, not read.
"""

import importlib.util
import json
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import pytest
import yaml
from elic_export.targets.registry import all_targets
from elic_export.targets.write import write_targets
from elic_runtime.bundle import Bundle
from elic_runtime.manifest import TARGETS_NAME, Manifest, SubgraphInfo, TensorInfo
from elic_runtime.shapes import Batch, Extent, Shape, dimensions, fix, fixed_sizes

# ---------------------------------------------------------------------------------------
# Bundles of every kind, as manifests with graphs that have the right inputs and nothing in
# them, and besides a few that are really exported. All checks take (manifest, folder).

GROUPS = (16, 16, 32, 64, 192)
READS = ((), (0,), (0, 1), (0, 2), (0, 3))  # chandelier: slice 0 and the slice before

OF_X, OF_Y, OF_Z = dimensions(3, 1), dimensions(320, 16), dimensions(192, 64)
FEATURES, SUPPORT = dimensions(192, 4), dimensions(640, 16, packed=True)
LATENTS = {"latent_means": OF_Y, "latent_scales": OF_Y}

CODEC = {
    "g_a": ({"x": OF_X}, {"y": OF_Y}),
    "h_a": ({"y": OF_Y}, {"z": OF_Z}),
    "g_a_h_a": ({"x": OF_X}, {"y": OF_Y, "z": OF_Z}),
    "h_s": ({"z_hat": OF_Z}, LATENTS),
    "g_s": ({"y_hat": OF_Y}, {"x_hat": OF_X}),
    "g_s_0": ({"y_hat": OF_Y}, {"features": FEATURES}),
    "g_s_1": ({"features": FEATURES}, {"x_hat": OF_X}),
}
for k, channels in enumerate(GROUPS):
    packed = dimensions(channels, 16, packed=True)
    means = {"means": packed, "scales": packed}
    slices = {f"y_hat_{i}": dimensions(GROUPS[i], 16) for i in READS[k]}
    CODEC[f"context_{k}_anchor"] = (LATENTS | slices, means | {"support": SUPPORT})
    CODEC[f"context_{k}_nonanchor"] = ({"y_hat_anchor": packed, "support": SUPPORT}, means)
NO_ENTROPY = {"no_entropy": ({"input": OF_X}, {"x_hat": OF_X, "y_likelihoods": OF_Y, "z_likelihoods": OF_Z})}

DIGEST = "0" * 64


def make_bundle(
    folder, form, encoder, decoder=None, batch=(1, 1), arithmetic="exact", renamed=(), precision="fp32"
) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    batches = Batch(min=batch[0], max=batch[1])
    extents = [
        Extent(min=Shape(height=low[0], width=low[1]), max=Shape(height=high[0], width=high[1]))
        for low, high in (encoder, decoder or encoder)
    ]
    subgraphs = {}
    for name, (inputs, outputs) in (NO_ENTROPY if form == "no-entropy" else CODEC).items():
        extent = extents[name not in ("g_a", "h_a", "g_a_h_a", "no_entropy")]
        infos = [tensor_infos(tensors, extent, batches, dict(renamed), precision) for tensors in (inputs, outputs)]
        write_graph(folder / f"{name}.onnx", *infos, pads=name in ("h_s", "g_s"))
        subgraphs[name] = SubgraphInfo(
            file=f"{name}.onnx", sha256=DIGEST, inputs=infos[0], outputs=infos[1], operators={"Conv": 1}
        )
    known = {"file": "conformance.npz", "sha256": DIGEST, "digests": {}}
    return Manifest.model_validate(
        {
            "producer": "test",
            "model": {
                "variant": "chandelier",
                "N": 192,
                "M": 320,
                "latent_channels": 320,
                "groups": GROUPS,
                "anchor_parity": 0,
                "context_slices": READS,
            },
            "checkpoint": {"name": "test", "sha256": DIGEST},
            "form": form,
            "encoder": extents[0],
            "decoder": extents[1],
            "batch": batches,
            "opset": 17,
            "rewrites": (),
            "precision": precision,
            "arithmetic": arithmetic,
            "subgraphs": subgraphs,
            "entropy_tables": {"file": "entropy_tables.npz", "sha256": DIGEST},
            "conformance": known if arithmetic == "exact" and form != "no-entropy" else None,
            "sources": DIGEST,
            "fingerprint": DIGEST,
        }
    )


def tensor_infos(tensors, extent, batch, renamed, precision):
    def info(role, shape):
        open_shape = fix(shape, fixed_sizes(extent, batch))
        ends = [
            fix(shape, {"batch": b, "height": image.height, "width": image.width})
            for b, image in ((batch.min, extent.min), (batch.max, extent.max))
        ]
        ranged = any(isinstance(dim, str) for dim in open_shape)
        return TensorInfo(
            name=renamed.get(role, role),
            renamed=role if role in renamed else None,
            dtype="float16" if precision == "fp16" else "float32",
            shape=open_shape,
            min_shape=ends[0] if ranged else None,
            max_shape=ends[1] if ranged else None,
        )

    return tuple(info(role, shape) for role, shape in tensors.items())


def write_graph(path, inputs, outputs, *, pads):
    values = [
        [
            onnx.helper.make_tensor_value_info(t.name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(t.dtype)), t.shape)
            for t in tensors
        ]
        for tensors in (inputs, outputs)
    ]
    node = onnx.helper.make_node(
        "ConvTranspose", [inputs[0].name, "w"], [outputs[0].name], **({"output_padding": [1, 1]} if pads else {})
    )
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], path.stem, *values)), path)


FIXED = ((512, 512), (512, 512))
WIDE = ((1280, 2048), (1280, 2048))
RANGE, DECODED = ((512, 512), (1280, 1280)), ((512, 512), (2048, 2048))

KINDS = {
    "static": {"form": "static", "encoder": FIXED},
    "static-float": {"form": "static", "encoder": ((128, 192), (128, 192)), "arithmetic": "float"},
    "static-fp16": {"form": "static", "encoder": FIXED, "arithmetic": "float", "precision": "fp16"},
    "static-batches": {"form": "static", "encoder": FIXED, "batch": (1, 4)},
    "static-renamed": {"form": "static", "encoder": FIXED, "renamed": {"x": "image", "y_hat": "latent"}.items()},
    "dynamic": {"form": "dynamic", "encoder": RANGE, "decoder": DECODED},
    "dynamic-wide": {"form": "dynamic", "encoder": ((512, 256), (512, 1024)), "arithmetic": "float"},
    "no-entropy": {"form": "no-entropy", "encoder": FIXED, "arithmetic": "float"},
    "no-entropy-wide": {"form": "no-entropy", "encoder": WIDE},
}


EXPORTED = ("bundle_path", "float_bundle_path", "dynamic_path", "no_entropy_path")


@pytest.fixture(scope="module", params=[*KINDS, *EXPORTED])
def bundle(request, tmp_path_factory):
    """A manifest and a folder, in which targets are written."""
    if request.param in EXPORTED:
        folder = request.getfixturevalue(request.param)
        return Bundle(folder).manifest, folder
    return written(tmp_path_factory.mktemp("bundle") / "a folder", **KINDS[request.param])


def written(folder, **kind):
    manifest = make_bundle(folder, **kind)
    return manifest.model_copy(update={"targets": write_targets(manifest, folder)}), folder


# ------------------------------------------------------------------------------ the truth


def ends(manifest, folder):
    """By graph and tensor: smallest and largest shape. From the graph's file, and the image sizes of the manifest."""
    return {
        name: {
            value.name: tuple(sizes(value, manifest.extent(name), manifest.batch, end) for end in ("min", "max"))
            for value in onnx.load(folder / info.file, load_external_data=False).graph.input
        }
        for name, info in manifest.subgraphs.items()
    }


def sizes(value, extent, batch, end):
    image = getattr(extent, end)
    axes = {"batch": getattr(batch, end), "height": image.height, "width": image.width}

    def size(dim):
        axis, _, divisor = dim.dim_param.partition("_")
        return axes[axis] // int(divisor or 1) if dim.dim_param else dim.dim_value

    return tuple(map(size, value.type.tensor_type.shape.dim))


def deciding(manifest):
    """What decides symbols: by what comes out."""
    return {
        name
        for name, info in manifest.subgraphs.items()
        if {"latent_means", "means"} & {tensor.role for tensor in info.outputs}
    }


def in_float32(manifest):
    """What must be built in float32: exported in fp16, it is not exact anyway."""
    return set() if manifest.precision == "fp16" else deciding(manifest)


def graph_dtype(folder, name):
    kind = onnx.load(folder / f"{name}.onnx", load_external_data=False).graph.input[0].type.tensor_type.elem_type
    return {onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16"}[kind]


def is_open(shapes):
    return any(low != high for low, high in shapes.values())


def exact(manifest):
    return deciding(manifest) if manifest.arithmetic == "exact" else set()


# ---------------------------------------------------------------------------- the readers


def run_script(folder, script, tools, tmp_path, **environment):
    """Run it from elsewhere with tools that note their arguments. Returns [tool, *arguments] of each call."""
    path = folder / TARGETS_NAME / script
    notes = tmp_path / "notes"
    for tool in tools:
        stand_in = tmp_path / "bin" / tool
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(
            f'#!/bin/sh\nprintf "%s\\037" {tool} "$@" >> "{notes}"; echo >> "{notes}"; pwd > "{notes}.pwd"\n'
        )
        stand_in.chmod(0o755)
    assert path.stat().st_mode & 0o111
    done = subprocess.run(
        [path],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert Path(Path(f"{notes}.pwd").read_text().strip()) == path.parent.resolve()
    return [line.split("\x1f")[:-1] for line in notes.read_text().splitlines()]


def options(call):
    """Of `tool --name=value --flag`."""
    return {name: value for name, _, value in (argument.partition("=") for argument in call[1:])}


def graph_at(folder, tool, path):
    """The graph that a path in a tool's file leads to."""
    file = (folder / TARGETS_NAME / tool / path).resolve()
    assert file.is_file()
    assert file.parent == folder.resolve()
    return file.stem


def load_script(folder, script):
    spec = importlib.util.spec_from_file_location("generated", folder / TARGETS_NAME / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_main(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])
    module.main()


# ----------------------------------------------------------------------------- the checks


def test_it_returns_what_it_wrote_and_no_more(bundle):
    manifest, folder = bundle
    there = {path.relative_to(folder).as_posix() for path in (folder / TARGETS_NAME).rglob("*") if path.is_file()}
    assert there == {target.file for target in manifest.targets}
    assert len(manifest.targets) == len(there)


def test_no_file_has_a_template_s_leftovers(bundle):
    manifest, folder = bundle
    for path in (target.file for target in manifest.targets):
        text = (folder / path).read_text(encoding="utf-8")
        assert not re.search(r"\{\{|\}\}|\{%|%\}|Undefined|TensorInfo\(|<generator", text), path
        assert "\n\n\n" not in text or path.endswith(".py"), path
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        if not path.endswith(".md"):
            assert max(map(len, text.splitlines())) <= 160, path


def test_vamc(bundle):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    files = {path.stem: path for path in (folder / TARGETS_NAME / "vamc").glob("*")}
    assert files.keys() == shapes.keys() - exact(manifest)
    for name, path in files.items():
        config = yaml.safe_load(path.read_text())
        open_ = is_open(shapes[name])
        assert config["frontend"]["shape"] == {
            tensor: [list(low), list(high)] if open_ else list(low) for tensor, (low, high) in shapes[name].items()
        }
        assert graph_at(folder, "vamc", config["frontend"]["checkpoint"]) == name
        assert (config["frontend"]["type"], config["frontend"]["dtype"]) == ("onnx", graph_dtype(folder, name))
        assert (config["backend"]["type"], config["backend"]["dtype"]) == ("tvm_vacc", "fp16")
        assert config["workspace"]["path"]


def test_vdsp(bundle):
    manifest, folder = bundle
    found = {}
    for path in (folder / TARGETS_NAME / "vdsp").glob("*"):
        config = json.loads(path.read_text())
        resize = config["OpConfig"].pop("ResizeHeight"), config["OpConfig"].pop("ResizeWidth")
        found[path.stem] = resize
        assert config == {
            "OpType": "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR_EXT",
            "OpConfig": {
                "IimageFormat": "RGB_PLANAR",
                "ResizeType": "BILINEAR_CV",
                "Padding": [0, 0, 0],
                "PaddingLeft": 0,
                "PaddingRight": 0,
                "PaddingTop": 0,
                "PaddingBottom": 0,
                "NormaType": "DIV255",
                "ColorCvtCode": "NO_CHANGE",
            },
        }
    wanted = {}
    for name, shapes in ends(manifest, folder).items():
        for role, tensor in ((tensor.role, tensor.name) for tensor in manifest.subgraphs[name].inputs):
            if role in ("x", "input"):
                wanted[name] = [shape[2:] for shape in dict.fromkeys(shapes[tensor])]
    by_graph = {name: [] for name in wanted}
    for stem, resize in found.items():
        by_graph[max((name for name in wanted if stem.startswith(name)), key=len)].append(resize)
    assert {name: sorted(found) for name, found in by_graph.items()} == wanted


def test_trtexec(bundle, tmp_path):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    calls = [options(call) for call in run_script(folder, "trtexec/build.sh", ["trtexec"], tmp_path)]
    assert [graph_at(folder, "trtexec", call["--onnx"]) for call in calls] == list(shapes)
    for name, call in zip(shapes, calls, strict=True):
        assert Path(call["--saveEngine"]).stem == name
        half = {"--fp16", "--bf16", "--int8", "--fp8", "--best"} & call.keys()
        assert half == (set() if name in in_float32(manifest) else {"--fp16"})
        assert ("--noTF32" in call) == (name in in_float32(manifest))
        listed = {end: parse_trt(call[option]) for end, option in TRT_SHAPES.items() if option in call}
        if is_open(shapes[name]):
            assert listed["min"] == {tensor: low for tensor, (low, _) in shapes[name].items()}
            assert listed["max"] == {tensor: high for tensor, (_, high) in shapes[name].items()}
            assert listed["opt"] == listed["min"]
        else:
            assert listed == {}


TRT_SHAPES = {"min": "--minShapes", "opt": "--optShapes", "max": "--maxShapes"}


def parse_trt(text):
    return {name: tuple(map(int, shape.split("x"))) for name, shape in (part.split(":") for part in text.split(","))}


def test_atc(bundle, tmp_path):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    calls = [options(call) for call in run_script(folder, "atc/build.sh", ["atc"], tmp_path, SOC_VERSION="Ascend310P3")]
    assert [graph_at(folder, "atc", call["--model"]) for call in calls] == list(shapes)
    for name, call in zip(shapes, calls, strict=True):
        assert (call["--framework"], call["--soc_version"]) == ("5", "Ascend310P3")
        # force_fp32 is not exact: it feeds float16 to the matrix unit.
        assert call["--precision_mode"] == ("must_keep_origin_dtype" if name in in_float32(manifest) else "force_fp16")
        assert atc_profiles(call) == list(dict.fromkeys(zip_ends(shapes[name])))
        if call["--input_format"] == "NCHW" and is_open(shapes[name]):
            assert len(shapes[name]) == 1
            assert call["--input_shape"].endswith("-1,-1")


def zip_ends(shapes):
    """[((tensor, smallest), ...), ((tensor, largest), ...)]"""
    return [tuple((tensor, pair[end]) for tensor, pair in shapes.items()) for end in (0, 1)]


def atc_profiles(call):
    """The shapes that a model takes, as atc reads its options."""
    lists = {"NCHW": "--dynamic_image_size", "ND": "--dynamic_dims"}
    assert not (set(lists.values()) - {lists[call["--input_format"]]}) & call.keys()
    inputs = [(name, dims.split(",")) for name, dims in (p.split(":") for p in call["--input_shape"].split(";"))]
    profiles = [p.split(",") for p in call[lists[call["--input_format"]]].split(";")] if "-1" in str(inputs) else [[]]
    found = []
    for profile in profiles:
        values = iter(profile)
        found.append(tuple((n, tuple(int(next(values) if d == "-1" else d) for d in dims)) for n, dims in inputs))
        assert not list(values)
    return found


def test_atc_asks_for_the_chip(bundle, tmp_path):
    _, folder = bundle
    path = folder / TARGETS_NAME / "atc" / "build.sh"
    done = subprocess.run([path], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "SOC_VERSION" in done.stderr


def test_qnn(bundle, tmp_path):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    found, outputs = [], []
    for call in run_script(folder, "qnn/convert.sh", ["qnn-onnx-converter"], tmp_path):
        assert call[1] == "--input_network"
        name = graph_at(folder, "qnn", call[2])
        dims = {}
        rest = call[3:]
        while rest[0] == "--input_dim":
            dims[rest[1]] = tuple(map(int, rest[2].split(",")))
            rest = rest[3:]
        assert rest[0] == "--output_path"
        assert len(rest) == 2
        outputs.append(rest[1])
        found.append((name, tuple(dims.items())))
    wanted = [(name, build) for name in shapes for build in dict.fromkeys(zip_ends(shapes[name]))]
    assert found == [(name, build) for name, build in wanted if name not in exact(manifest)]
    assert len(set(outputs)) == len(outputs)


def test_iree(bundle, tmp_path):
    manifest, folder = bundle
    calls = run_script(folder, "iree/build.sh", ["iree-import-onnx", "iree-compile"], tmp_path)
    imports, compiles = calls[0::2], calls[1::2]
    assert [graph_at(folder, "iree", call[1]) for call in imports] == list(manifest.subgraphs)
    for name, (_, _, o, mlir), compiled in zip(manifest.subgraphs, imports, compiles, strict=True):
        assert o == compiled[-2] == "-o"
        assert compiled[-3] == mlir
        assert Path(compiled[-1]).name == f"{name}.vmfb"
        assert compiled[1:-3] == [
            "--iree-hal-target-device=local",
            "--iree-hal-local-target-device-backends=llvm-cpu",
            "--iree-llvmcpu-target-cpu=host",
        ]


def test_openvino(bundle):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    script = load_script(folder, "openvino/convert.py")
    assert script.PRECISION == {"INFERENCE_PRECISION_HINT": "f32"}
    assert script.GRAPHS.keys() == shapes.keys()
    for name, graph in script.GRAPHS.items():
        assert graph_at(folder, "openvino", graph["file"]) == name
        assert graph["inputs"] == {
            tensor: list(zip(low, high, strict=True)) for tensor, (low, high) in shapes[name].items()
        }


class NotingRknn:
    """rknn.api.RKNN, as far as the script uses it."""

    calls: ClassVar[list] = []
    fails = False

    def __getattr__(self, name):
        def note(*arguments, **keywords):
            self.calls.append((name, arguments, keywords))
            return -1 if self.fails and name == "build" else 0

        return note


@pytest.fixture
def rknn(monkeypatch):
    monkeypatch.setattr(NotingRknn, "calls", [])
    monkeypatch.setitem(sys.modules, "rknn", types.ModuleType("rknn"))
    monkeypatch.setitem(sys.modules, "rknn.api", types.SimpleNamespace(RKNN=NotingRknn))
    return NotingRknn


def test_rknn(bundle, rknn, monkeypatch, tmp_path):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    script = load_script(folder, "rknn/convert.py")
    assert list(script.GRAPHS) == [name for name in shapes if name not in exact(manifest)]
    run_main(script, monkeypatch, "--platform", "rk3576", "--out", tmp_path / "out")
    steps = {"config": [], "load_onnx": [], "build": [], "export_rknn": [], "release": []}
    for step, arguments, keywords in rknn.calls:
        steps[step].append((arguments, keywords))
    for i, name in enumerate(script.GRAPHS):
        (_, config), (_, load), (_, build), (export, _) = (calls[i] for calls in list(steps.values())[:4])
        assert config["target_platform"] == "rk3576"
        assert graph_at(folder, "rknn", load["model"]) == name
        assert build == {"do_quantization": False}
        assert Path(export[0]) == tmp_path / "out" / f"{name}.rknn"
        lists = [[list(pair[end]) for pair in shapes[name].values()] for end in (0, 1)]
        assert config.get("dynamic_input") == (lists if is_open(shapes[name]) else None)
    assert len(steps["release"]) == len(script.GRAPHS)


def test_rknn_says_which_step_failed(tmp_path, rknn, monkeypatch):
    _, folder = written(tmp_path / "bundle", **KINDS["static"])
    script = load_script(folder, "rknn/convert.py")
    monkeypatch.setattr(rknn, "fails", True)
    with pytest.raises(SystemExit, match="h_a: RKNN's build failed"):
        run_main(script, monkeypatch, "h_a", "--out", tmp_path)
    assert [name for name, *_ in rknn.calls] == ["config", "load_onnx", "build", "release"]


class NotingRunner:
    """hailo_sdk_client.ClientRunner, as far as the script uses it."""

    calls: ClassVar[list] = []

    def __init__(self, hw_arch):
        self.calls.append(("init", hw_arch))

    def translate_onnx_model(self, model, net_name, net_input_shapes):
        self.calls.append((model, net_name, net_input_shapes))

    def optimize(self, calibration):
        self.calls.append(("optimize", calibration.shape))

    def compile(self):
        return b"hef"


def test_hailo(bundle, monkeypatch, tmp_path):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    transforms = [name for name in shapes if name not in deciding(manifest) | {"no_entropy"}]
    fixed = [name for name in transforms if not is_open(shapes[name])]
    path = folder / TARGETS_NAME / "hailo" / "compile.py"
    readme = section((folder / TARGETS_NAME / "README.md").read_text(), "Hailo")
    assert path.exists() == bool(fixed)
    if not fixed:
        assert "Nothing is written" in readme
        assert all(f"`{name}`" in readme for name in transforms)
        return
    script = load_script(folder, "hailo/compile.py")
    assert list(script.GRAPHS) == fixed
    monkeypatch.setattr(NotingRunner, "calls", [])
    monkeypatch.setitem(sys.modules, "hailo_sdk_client", types.SimpleNamespace(ClientRunner=NotingRunner))
    for name in fixed:
        np.save(tmp_path / f"{name}.npy", np.zeros((2, 1, 1, 3), np.float32))
    run_main(script, monkeypatch, *fixed, "--calibration", tmp_path, "--hw-arch", "hailo8l", "--out", tmp_path)
    for name, (init, translate, optimize) in zip(
        fixed, zip(*(iter(NotingRunner.calls),) * 3, strict=True), strict=True
    ):
        assert init == ("init", "hailo8l")
        assert graph_at(folder, "hailo", translate[0]) == name
        assert translate[1:] == (name, {tensor: list(low) for tensor, (low, _) in shapes[name].items()})
        assert optimize == ("optimize", (2, 1, 1, 3))
        assert (tmp_path / f"{name}.hef").read_bytes() == b"hef"


def section(readme, title):
    return re.split(r"^## ", readme[readme.index(f"## {title}") + 3 :], flags=re.MULTILINE)[0]


def test_readme(bundle):
    manifest, folder = bundle
    readme = (folder / TARGETS_NAME / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert {f"{TARGETS_NAME}/{link}" for link in links} | {f"{TARGETS_NAME}/README.md"} == {
        target.file for target in manifest.targets
    }
    for name, shapes in ends(manifest, folder).items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}` |"))
        for tensor, (low, high) in shapes.items():
            assert f"`{tensor}` {'x'.join(map(str, low))}" in row
            assert "x".join(map(str, high)) in row
    for title in ("Qualcomm QNN", "Rockchip: RKNN"):
        assert "proprietary" in section(readme, title)
    for title in ("Vastai", "Qualcomm QNN", "Rockchip: RKNN"):
        assert ("Left out: the subgraphs that decide symbols" in section(readme, title)) == bool(exact(manifest))
    assert "INFERENCE_PRECISION_HINT" in section(readme, "OpenVINO")
    for name in deciding(manifest):
        assert f"`{name}`" in section(readme, "What may be rounded")


def test_rknn_s_trap_is_named_where_it_is(bundle):
    """g_s of these bundles has output_padding, g_s_0 and g_s_1 have none."""
    manifest, folder = bundle
    padded = {
        name
        for name, info in manifest.subgraphs.items()
        if any(a.name == "output_padding" for n in onnx.load(folder / info.file).graph.node for a in n.attribute)
    } - exact(manifest)
    script = (folder / TARGETS_NAME / "rknn" / "convert.py").read_text()
    readme = section((folder / TARGETS_NAME / "README.md").read_text(), "Rockchip")
    assert ("fold_output_padding" in script) == bool(padded)
    for name in padded:
        assert re.search(rf"which .*`{name}`.*ha(s|ve): the build stops", readme, re.DOTALL)
        assert re.search(rf'Got 31 Expected 32" on:\n# .*\b{name}\b', script)
    assert "fold_output_padding" in readme
    assert ("no graph built here has one" in readme) == (not padded)


def vamc(folder, name):
    return yaml.safe_load((folder / TARGETS_NAME / "vamc" / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def conventions(tmp_path_factory):
    """Vastai's configurations by their public conventions: of the shapes that those are for."""
    root = tmp_path_factory.mktemp("conventions")
    return {
        kind: written(root / kind, **KINDS[kind])[1] for kind in ("static", "dynamic", "no-entropy", "no-entropy-wide")
    }


@pytest.mark.parametrize(
    ("kind", "name", "shape", "backend", "graph"),
    [
        (
            "static",
            "g_a_h_a",
            {"x": [1, 3, 512, 512]},
            {"compile": {"data_transport_mode": 1, "mem_inplace": True, "opt_level": 2}},
            None,
        ),
        (
            "dynamic",
            "g_a_h_a",
            {"x": [[1, 3, 512, 512], [1, 3, 1280, 1280]]},
            {"compile": {"data_type": 0, "opt_level": 2}, "dynamic_params": {"is_elic_gs": True}},
            None,
        ),
        (
            "dynamic",
            "g_s_0",
            {"y_hat": [[1, 320, 32, 32], [1, 320, 128, 128]]},
            {"compile": {"data_type": 0, "opt_level": 2}, "dynamic_params": {"is_elic_gs": True}},
            {"extra_ops": {"type": "insert_odma"}},
        ),
        (
            "dynamic",
            "g_s_1",
            {"features": [[1, 192, 128, 128], [1, 192, 512, 512]]},
            {
                "compile": {"data_type": 0, "opt_level": 2},
                "dynamic_params": {"is_elic_gs": True, "enable_graph_partition": True},
            },
            None,
        ),
        (
            "no-entropy",
            "no_entropy",
            {"input": [1, 3, 512, 512]},
            {"compile": {"data_type": 0, "opt_level": 2, "data_transport_mode": 1, "enable_float_to_half": True}},
            None,
        ),
        (
            "no-entropy-wide",
            "no_entropy",
            {"input": [1, 3, 1280, 2048]},
            {
                "compile": {
                    "data_type": 0,
                    "opt_level": 2,
                    "data_transport_mode": 1,
                    "enable_float_to_half": True,
                    "split_convergence_points": ["0, 10", "180, 190"],
                    "partition_convergence_dsp_enable": True,
                }
            },
            None,
        ),
    ],
)
def test_vamc_follows_the_conventions(conventions, kind, name, shape, backend, graph):
    config = vamc(conventions[kind], name)
    assert config["frontend"]["shape"] == shape
    assert config["backend"] == {"type": "tvm_vacc", "dtype": "fp16"} | backend
    assert config.get("graph") == graph


def test_exact_subgraphs_go_only_to_tools_with_float32(tmp_path):
    """Anything named in the file of another tool is a comment."""
    manifest, folder = written(tmp_path / "bundle", **KINDS["static"])
    assert len(deciding(manifest)) == 11
    for tool in ("vamc", "qnn", "rknn", "hailo"):
        for path in (folder / TARGETS_NAME / tool).glob("*"):
            assert path.stem not in deciding(manifest)
            code = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
            assert not re.search(r"\bh_s\b|context_", code), path
    assert {target.tool for target in all_targets() if target.float32} == {"trtexec", "atc", "openvino", "iree", "vdsp"}
