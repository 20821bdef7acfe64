"""Check a bundle on a device, emulated or real: what it computes, what it writes, and what it reads.

python device_check.py BUNDLE PHOTOGRAPH FILES NAME

Loading the bundle checks its conformance. The photograph is compressed to FILES/NAME.elic; then the symbols of every
.elic file in FILES are decoded. What was decoded is printed as JSON, to be compared with other machines'. g_s is left
out: it decides no symbol, and takes most of the time on an emulated machine.
"""

import hashlib
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from elic_runtime import Codec
from elic_runtime.coder import Coder, make_coder
from elic_runtime.images import read_image
from elic_runtime.runners import onnxruntime_factory
from elic_runtime.shapes import LATENT_STRIDE


class RecordingCoder:
    """A coder that keeps the digest of all symbols that it decodes."""

    def __init__(self, coder: Coder) -> None:
        self.name = coder.name
        self.encode = coder.encode
        self._decode = coder.decode
        self.start()

    def start(self) -> None:
        """Forget what was decoded."""
        self.digest, self.count = hashlib.sha256(), 0

    def decode(self, *arguments: Any) -> Any:
        """Decode as `Coder.decode`."""
        symbols = self._decode(*arguments)
        self.digest.update(symbols.astype("<i4").tobytes())
        self.count += symbols.size
        return symbols


def without_g_s(name: str, graph: Path, info: Any) -> Any:
    """Load a subgraph in ONNX Runtime, but for g_s, which paints black."""
    if not name.startswith("g_s"):
        return onnxruntime_factory(threads=1)(name, graph, info)
    b, _, h, w = info.inputs[0].shape
    return lambda _inputs: {"x_hat": np.zeros((b, 3, LATENT_STRIDE * h, LATENT_STRIDE * w), np.float32)}


def main(bundle: Path, photograph: Path, files: Path, name: str) -> None:
    """Check, compress, decode, print."""
    start = time.perf_counter()
    coder = RecordingCoder(make_coder())
    codec = Codec.load(bundle, runner=without_g_s)
    codec.coder = coder
    seconds = {"load and conformance": time.perf_counter() - start}
    start = time.perf_counter()
    (files / f"{name}.elic").write_bytes(codec.compress(read_image(photograph)))
    seconds["compress"] = time.perf_counter() - start
    decoded = {}
    for path in sorted(files.glob("*.elic")):
        coder.start()
        start = time.perf_counter()
        codec.decompress(path.read_bytes())
        seconds[f"symbols of {path.name}"] = time.perf_counter() - start
        decoded[path.name] = {"symbols": coder.count, "sha256": coder.digest.hexdigest()}
    print(json.dumps({"machine": platform.machine(), "coder": coder.name, "decoded": decoded, "seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
