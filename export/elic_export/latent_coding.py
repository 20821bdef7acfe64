"""Code latents in PyTorch, without a coder: y_hat, and the ideal code length of the symbols."""

from dataclasses import dataclass

import numpy as np
from elic_runtime.context import ContextModel, Floats, Symbols, pack
from elic_runtime.subgraphs import H_S

from elic_export.exact.deployment import Deployment
from elic_export.graphs.declare import model_info
from elic_export.known_input import torch_runners
from elic_export.metrics import code_length


@dataclass(frozen=True)
class Coded:
    """What coding made of a latent.

    Parameters
    ----------
    y_hat : ndarray
        The decoded latent, float32 [1, M, H/16, W/16].
    bits : float
        Ideal code length of y and z.

    """

    y_hat: Floats
    bits: float


class LatentCoder:
    """Codes latents with the subgraphs that decide symbols, run by PyTorch at any size.

    Parameters
    ----------
    deployment : Deployment
        The model.

    """

    def __init__(self, deployment: Deployment) -> None:
        self._tables = deployment.tables
        self._model = model_info(deployment.model.spec)
        runners = torch_runners(deployment)
        self._h_s = runners[H_S]
        self._context = ContextModel(self._model, runners.__getitem__)

    def code(self, y: Floats, z: Floats) -> Coded:
        """Code a latent.

        Parameters
        ----------
        y, z : ndarray
            Latent and hyper-latent, float32 [1, M, H/16, W/16] and [1, N, H/64, W/64].

        """
        tables, model = self._tables, self._model
        y_slices = np.split(y, np.cumsum(model.groups)[:-1], axis=1)
        medians = tables.medians[None, :, None, None]
        z_symbols = np.rint(z - medians).astype(np.int32)
        channels = np.broadcast_to(np.arange(z.shape[1])[None, :, None, None], z.shape)
        bits = [code_length(z_symbols.ravel(), channels.ravel(), tables.z)]

        def code(k: int, half: int, means: Floats, scales: Floats) -> Symbols:
            symbols: Symbols = np.rint(pack(y_slices[k], model.anchor_parity ^ half) - means).astype(np.int32)
            bits.append(code_length(symbols.ravel(), tables.scale_indexes(scales).ravel(), tables.y))
            return symbols

        latents = self._h_s({"z_hat": z_symbols + medians})
        y_hat = self._context.walk(dict(latents), code)
        return Coded(y_hat, sum(bits))
