"""Vastai's configurations, one for each graph: read as YAML."""

import onnx
import pytest
import yaml
from bundles import KINDS, written
from expected import ends, exact, is_open
from outputs import KEPT, graph_at, section, tool_folder


def graph_dtype(folder, name):
    kind = onnx.load(folder / f"{name}.onnx", load_external_data=False).graph.input[0].type.tensor_type.elem_type
    return {onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16"}[kind]


def test_vamc(bundle):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    files = {path.stem: path for path in tool_folder(folder, "vamc").glob("*")}
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


def test_readme_says_what_it_leaves_out(bundle):
    manifest, folder = bundle
    assert (KEPT in section(folder, "Vastai: vamc")) == bool(exact(manifest))


def vamc(folder, name):
    return yaml.safe_load((tool_folder(folder, "vamc") / f"{name}.yaml").read_text())


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
