"""The known photographs of a bundle, and what PyTorch computes from them: `verify.npz`.

The photographs are in `photographs/`: crops of coffee by Rachel Michetti (CC0), of a face by Judy Weggelaar (public
domain) and of a rocket by SpaceX (CC0), by way of scikit-image and SciPy. `elic_runtime/verify.py` reads the result.
"""

from pathlib import Path

import numpy as np
import torch
from elic_models import ELIC
from elic_runtime import Codec
from elic_runtime.context import Floats
from elic_runtime.entries import Interface
from elic_runtime.images import read_image
from elic_runtime.metrics import psnr
from elic_runtime.pixels import Image, to_input
from elic_runtime.runners import Arrays, Runner, RunnerFactory, onnxruntime_factory
from elic_runtime.subgraphs import decides_symbols
from elic_runtime.verify import (
    OUTPUTS,
    PHOTOGRAPHS,
    Known,
    image_to_verify,
    shape_to_verify,
    y_hat_to_verify,
)

from elic_export.exact.deployment import Deployment
from elic_export.latent_coding import LatentCoder

FOLDER = Path(__file__).parent / "photographs"

MAX_VALUES = 100_000
"""Values of one output of one photograph that are kept: of larger ones, every n-th row."""


@torch.inference_mode()
def known_photographs(deployment: Deployment, folder: Path) -> Known:
    """Compute what a device is verified with.

    Parameters
    ----------
    deployment : Deployment
        The model.
    folder : Path
        A bundle of it, complete but for `verify.npz`.

    Returns
    -------
    Known
        Photographs, PyTorch's outputs, and a file and pictures of its transforms.

    """
    model, codec = deployment.model, Codec.load(folder, runner=_transforms_in_torch(deployment))
    shape = shape_to_verify(codec.bundle.manifest.encoder)
    photographs = [read_image(path) for path in sorted(FOLDER.glob("*.webp"))[:PHOTOGRAPHS]]
    coder = LatentCoder(deployment)
    y_hats = [coder.code(*_analyse(model, photograph)).y_hat[0] for photograph in photographs]
    outputs: dict[str, list[Floats]] = {name: [] for name in OUTPUTS}
    for photograph, y_hat in zip(photographs, y_hats, strict=True):
        y, z = _analyse(model, image_to_verify(photograph, shape))
        x_hat = model.g_s(torch.from_numpy(y_hat_to_verify(y_hat, shape))).numpy()
        for name, values in (("y", y), ("z", z), ("x_hat", x_hat)):
            outputs[name].append(values[0])
    every = {name: -(-values[0].size // MAX_VALUES) for name, values in outputs.items()}
    images = [image_to_verify(photograph, shape) for photograph in photographs]
    coded = [codec.compress(image) for image in images]
    return Known(
        photographs=photographs,
        y_hats=y_hats,
        outputs={name: [v[:, :: every[name]] for v in values] for name, values in outputs.items()},
        every=every,
        # Files in float arithmetic decode only where they were written.
        file=coded[0] if deployment.arithmetic == "exact" else b"",
        psnr_db=[psnr(image, codec.decompress(data)) for image, data in zip(images, coded, strict=True)],
        sizes=[len(data) for data in coded],
    )


def _transforms_in_torch(deployment: Deployment) -> RunnerFactory:
    """Return a factory that runs transforms in PyTorch, in float32, and what decides symbols in ONNX Runtime."""
    onnxruntime, model = onnxruntime_factory(), deployment.model

    def load(name: str, graph: Path, info: Interface) -> Runner:
        if decides_symbols(name):
            return onnxruntime(name, graph, info)
        outputs = {tensor.role: tensor for tensor in info.outputs}

        @torch.inference_mode()
        def run(inputs: Arrays) -> Arrays:
            (values,) = inputs.values()
            given = torch.from_numpy(values.astype(np.float32))
            if "x_hat" in outputs:
                found = {"x_hat": model.g_s(given)}
            else:
                y = model.g_a(given) if name.startswith("g_a") else given
                found = {"y": y, "z": model.h_a(y)}
            return {t.name: found[role].numpy().astype(t.dtype) for role, t in outputs.items()}

        return run

    return load


def _analyse(model: ELIC, image: Image) -> tuple[Floats, Floats]:
    y = model.g_a(torch.from_numpy(to_input(image)))
    return y.numpy(), model.h_a(y).numpy()
