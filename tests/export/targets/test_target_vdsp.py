"""Vastai's image preprocessing, one file for each shape of a graph that takes an image: read as JSON."""

import json

from expected import ends
from outputs import tool_folder


def test_vdsp(bundle):
    manifest, folder = bundle
    found = {}
    for path in tool_folder(folder, "vdsp").glob("*"):
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
