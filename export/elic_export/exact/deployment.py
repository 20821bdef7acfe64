"""Deployments: what a bundle is exported from, a model in float or exact arithmetic and its entropy tables.

In `float` arithmetic, the model is the checkpoint as it is, coded as CompressAI codes it. In `exact` arithmetic, h_s
and the context model compute in integers. Everything after this module treats both alike.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
from elic_models import ELIC, Checkpoint
from elic_runtime.errors import BundleError
from elic_runtime.tables import CdfTables, EntropyTables
from numpy.typing import NDArray

from elic_export.errors import ExportError
from elic_export.exact.calibration import Calibration
from elic_export.exact.proof import LayerProof, prove
from elic_export.exact.quantize import Precision, quantize


@dataclass(frozen=True, eq=False)
class Deployment:
    """A model that is ready for export.

    Parameters
    ----------
    checkpoint : Checkpoint
        The checkpoint that it was made from.
    arithmetic : {"exact", "float"}
        Arithmetic of h_s and the context model.
    model : ELIC
        The checkpoint's model, in exact arithmetic with integer layers in h_s and the context model.
    tables : EntropyTables
        The distributions that code its symbols.
    calibration : Calibration, optional
        The calibration of exact arithmetic.
    proofs : tuple of LayerProof
        The proof of each layer of exact arithmetic.

    """

    checkpoint: Checkpoint
    arithmetic: Literal["exact", "float"]
    model: ELIC
    tables: EntropyTables
    calibration: Calibration | None = None
    proofs: tuple[LayerProof, ...] = ()


def deploy_float(checkpoint: Checkpoint) -> Deployment:
    """Deploy a checkpoint in float arithmetic.

    Parameters
    ----------
    checkpoint : Checkpoint
        The checkpoint.

    Raises
    ------
    ExportError
        If its CDF tables cannot code.

    """
    model = checkpoint.model
    table = _scale_table(model)
    bound = np.float32(model.gaussian_conditional.lower_bound_scale.bound.numpy().reshape(()))
    # CompressAI first raises every scale to its lower bound, so levels below that are never chosen.
    thresholds = np.where(table[:-1] < bound, np.finfo(np.float32).min, table[:-1])
    return Deployment(checkpoint, "float", model, _tables(model, thresholds.astype(np.float32), _medians(model)))


def deploy_exact(checkpoint: Checkpoint, calibration: Calibration, precision: Precision | None = None) -> Deployment:
    """Deploy a checkpoint in exact arithmetic: quantize h_s and the context model, and prove that they are exact.

    Means, scales and medians are rounded to a grid. A scale is coded by the nearest level of the scale table, with the
    geometric mean of two levels as the threshold between them. That takes 0.2 % fewer bits than CompressAI's rule.

    Parameters
    ----------
    checkpoint : Checkpoint
        The checkpoint.
    calibration : Calibration
        The peaks of its model.
    precision : Precision, optional
        How fine the integers are.

    Raises
    ------
    ExportError
        If the calibration is of another model, if a layer cannot be exact, or if the CDF tables cannot code.

    """
    model = checkpoint.model
    precision = precision or Precision()
    quantized = quantize(model, calibration, precision)
    table = _scale_table(model).astype(np.float64)
    # A scale on the grid exceeds a threshold if and only if it exceeds the threshold rounded down to the grid.
    thresholds = _on_grid(np.floor, np.sqrt(table[:-1] * table[1:]), precision.scale_bits)
    medians = _on_grid(np.rint, _medians(model).astype(np.float64), precision.median_bits)
    tables = _tables(model, thresholds, medians)
    proofs = tuple(prove(quantized, medians.astype(np.float64)))
    return Deployment(checkpoint, "exact", quantized, tables, calibration, proofs)


def fingerprint(deployment: Deployment) -> str:
    """Return the SHA-256 of everything that a bit stream depends on.

    That is the wiring, the entropy tables, the arithmetic, and the weights of h_s and the context model. It is not the
    image size, the opset, g_a, h_a or g_s.

    Parameters
    ----------
    deployment : Deployment
        The model.

    Returns
    -------
    str
        64 hexadecimal digits.

    """
    model = deployment.model
    spec = model.spec
    contexts = [spec.wiring.context_slices(k) for k in range(len(spec.groups))]
    wiring = (deployment.arithmetic, spec.N, spec.M, spec.groups, spec.wiring.anchor_parity, contexts)
    digest = hashlib.sha256(json.dumps(wiring).encode())
    parts = dict(sorted(deployment.tables.arrays().items()))
    for prefix in ("h_s", "context"):
        parts |= {f"{prefix}.{n}": p.numpy() for n, p in sorted(model.get_submodule(prefix).state_dict().items())}
    for name, array in parts.items():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name} {little.dtype.str} {little.shape}".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


def _scale_table(model: ELIC) -> NDArray[np.float32]:
    return np.asarray(model.gaussian_conditional.scale_table.numpy(), np.float32)


def _medians(model: ELIC) -> NDArray[np.float32]:
    return np.asarray(model.entropy_bottleneck.quantiles[:, 0, 1].detach().numpy(), np.float32)


def _on_grid(rounding: np.ufunc, values: NDArray[np.float64], bits: int) -> NDArray[np.float32]:
    return np.asarray(rounding(values * 2.0**bits) / 2.0**bits, np.float32)


def _tables(model: ELIC, thresholds: NDArray[np.float32], medians: NDArray[np.float32]) -> EntropyTables:
    """Return the CDFs of a model, with the thresholds and medians that choose among them, after checking them."""
    y, z = (
        CdfTables(
            *(
                np.asarray(t.int(), dtype=np.int32)
                for t in (m.quantized_cdf, m.cdf_length.reshape(-1), m.offset.reshape(-1))
            )
        )
        for m in (model.gaussian_conditional, model.entropy_bottleneck)
    )
    tables = EntropyTables(y, z, _scale_table(model), thresholds, medians)
    try:
        tables.check()
    except BundleError as error:
        raise ExportError(f"the checkpoint's CDF tables cannot code: {error}") from None
    return tables
