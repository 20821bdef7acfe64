"""Decode with OpenVINO what ONNX Runtime compressed: a runner of one's own in a dozen lines.

pip install 'elic-deploy[openvino]'
python examples/openvino_runner.py BUNDLE PHOTOGRAPH PICTURE
"""

import sys
from pathlib import Path

import openvino
from elic_runtime import Codec
from elic_runtime.entries import Interface
from elic_runtime.images import read_image, write_image
from elic_runtime.runners import Arrays, Runner

CORE = openvino.Core()


def on_openvino(_name: str, graph: Path, info: Interface) -> Runner:
    """Load one subgraph. Without the hint, processors with bf16 compute in bf16, and no exact bundle survives that."""
    compiled = CORE.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs: Arrays) -> Arrays:
        outputs = compiled.create_infer_request().infer(inputs)  # a request each: threads may share the codec
        return {tensor.name: outputs[tensor.name] for tensor in info.outputs}

    return run


def main(bundle: str, photograph: str, picture: str) -> None:
    """Compress with ONNX Runtime, decode with OpenVINO: the file's checksums prove that all symbols are the same."""
    data = Codec.load(bundle, decode=False).compress(read_image(Path(photograph)))
    write_image(Path(picture), Codec.load(bundle, encode=False, runner=on_openvino).decompress(data))
    print(f"{len(data)} bytes, decoded by OpenVINO {openvino.__version__.split('-')[0]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
