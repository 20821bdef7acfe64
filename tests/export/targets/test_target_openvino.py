"""OpenVINO's script: loaded, and its table of graphs read."""

from expected import ends
from outputs import graph_at, load_script, section


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


def test_readme_says_how_to_compute_in_float32(bundle):
    _, folder = bundle
    assert "INFERENCE_PRECISION_HINT" in section(folder, "OpenVINO")
