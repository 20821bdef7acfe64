"""Qualcomm's script: run with a qnn-onnx-converter that notes its arguments."""

from expected import ends, exact, zip_ends
from outputs import KEPT, graph_at, run_script, section


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


def test_readme_says_what_it_leaves_out_and_whose_it_is(bundle):
    manifest, folder = bundle
    text = section(folder, "Qualcomm QNN")
    assert "proprietary" in text
    assert (KEPT in text) == bool(exact(manifest))
