"""TensorRT's script: run with a trtexec that notes its arguments."""

from pathlib import Path

from expected import ends, in_float32, is_open
from outputs import graph_at, options, run_script

TRT_SHAPES = {"min": "--minShapes", "opt": "--optShapes", "max": "--maxShapes"}


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


def parse_trt(text):
    return {name: tuple(map(int, shape.split("x"))) for name, shape in (part.split(":") for part in text.split(","))}
