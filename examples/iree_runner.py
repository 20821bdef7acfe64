"""Decode with IREE what ONNX Runtime compressed, by modules that the bundle's own script built.

pip install 'elic-deploy[iree]'
python BUNDLE/targets/iree/convert.py
python examples/iree_runner.py BUNDLE PHOTOGRAPH PICTURE
"""

import sys
from importlib.metadata import version
from pathlib import Path

import iree.runtime as iree
import numpy as np
from elic_runtime import Codec
from elic_runtime.entries import Interface
from elic_runtime.images import read_image, write_image
from elic_runtime.manifest import TARGETS_NAME
from elic_runtime.runners import Arrays, Runner


def on_iree(name: str, graph: Path, info: Interface) -> Runner:
    """Load the module that `convert.py` made of one subgraph. The modules live as long as the runner."""
    module = iree.load_vm_flatbuffer_file(
        str(graph.parent / TARGETS_NAME / "iree" / "vmfb" / f"{name}.vmfb"), driver="local-task"
    )
    inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (info.inputs, info.outputs))

    def run(given: Arrays) -> Arrays:
        found = module.main_graph(*(np.ascontiguousarray(given[tensor]) for tensor in inputs))
        found = found if isinstance(found, tuple | list) else (found,)
        return {tensor: np.array(array) for tensor, array in zip(outputs, found, strict=True)}

    return run


def main(bundle: str, photograph: str, picture: str) -> None:
    """Compress with ONNX Runtime, decode with IREE: the file's checksums prove that all symbols are the same."""
    data = Codec.load(bundle, decode=False).compress(read_image(Path(photograph)))
    write_image(Path(picture), Codec.load(bundle, encode=False, runner=on_iree).decompress(data))
    print(f"{len(data)} bytes, decoded by IREE {version('iree-base-runtime')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
