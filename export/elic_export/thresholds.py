"""The largest errors that are accepted, of bundles and of compiled transforms: `deploy_configs/thresholds.yaml`."""

import os
from pathlib import Path
from typing import Annotated

import yaml
from elic_runtime.entries import GraphPrecision
from pydantic import BeforeValidator, Field, RootModel

from elic_export.errors import ConfigError
from elic_export.yaml_file import Section, read_text, validate

Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class GraphLimits(Section):
    """Limits by the precision of a subgraph, since a bundle may have subgraphs of several.

    Parameters
    ----------
    fp32, fp16, int8 : float
        The limit of subgraphs in that precision.

    """

    fp32: Limit
    fp16: Limit
    int8: Limit

    def of(self, precision: GraphPrecision) -> float:
        """Return the limit of one precision.

        Parameters
        ----------
        precision : {"fp32", "fp16", "int8"}
            Precision of the subgraph.

        """
        return {"fp32": self.fp32, "fp16": self.fp16, "int8": self.int8}[precision]


def _of_all(value: object) -> object:
    """Take one number as the limit of all precisions."""
    return dict.fromkeys(GraphLimits.model_fields, value) if isinstance(value, int | float) else value


class Thresholds(Section):
    """The largest errors that parity accepts, for bundles of one precision and one arithmetic.

    Parameters
    ----------
    relative_error : GraphLimits or float
        Largest error of a subgraph's output, over the range of PyTorch's output. One number is for all precisions.
    index_fraction, symbol_fraction : float
        Share of the scale indexes, and of the symbols, that differ from PyTorch's.
    size_difference : float
        How much larger the streams of an image are than PyTorch's, as a share of these.
    rate_cost, rate_cost_total : float
        How much larger a file is than the one that the checkpoint's own means and scales would give with the same
        scale thresholds, as a share of that one: for each image, and for all images together.
    scatter_bytes : float
        Size of a file below which a single symbol weighs more. For a file of n bytes, fewer than this,
        `size_difference`, `rate_cost`, `half_rate_cost`, `half_psnr_lost_db` and `psnr_difference_db` are multiplied by
        scatter_bytes / n, and so is `rate_cost_total`, where n is the size of all files together.
    stream_end_bytes, coding_overhead : float
        How much larger a stream is than its ideal code length: the bytes that its end costs, plus a share of the
        length.
    bits_difference, correlation_lost : float
        Error of a no-entropy graph's likelihoods: the difference of the bits of an image, as a share of PyTorch's,
        and 1 minus the correlation of the bits symbol by symbol.
    bits_scatter_bytes : float
        For images of n bytes, fewer than this, `bits_difference`, `correlation_lost` and `psnr_difference_db` of a
        no-entropy graph are multiplied by bits_scatter_bytes / n.
    psnr_difference_db : float
        Difference of the decoded picture's PSNR from PyTorch's. A PSNR above that of rounding to 8 bits, 58.9 dB,
        counts as 58.9 dB.
    x_hat_steps : float
        Largest difference of x_hat from PyTorch's for the same y_hat, in steps of 1/255.
    half_rate_cost, half_psnr_lost_db : float
        How much larger a file is, as a share, and how much worse its picture is, if activations are rounded to fp16.

    Examples
    --------
    >>> thresholds = read_thresholds("thresholds.yaml", "fp32", "exact")
    >>> thresholds.x_hat_steps
    1.0

    """

    relative_error: Annotated[GraphLimits, BeforeValidator(_of_all)]
    index_fraction: Limit
    symbol_fraction: Limit
    size_difference: Limit
    rate_cost: Limit
    rate_cost_total: Limit
    scatter_bytes: Limit
    stream_end_bytes: Limit
    coding_overhead: Limit
    bits_difference: Limit
    correlation_lost: Limit
    bits_scatter_bytes: Limit = 0
    psnr_difference_db: Limit
    x_hat_steps: Limit
    half_rate_cost: Limit = 0
    half_psnr_lost_db: Limit = 0


class _CompiledLimits(RootModel[dict[GraphPrecision, dict[str, Limit]]]):
    """Limits of compiled transforms, by precision and by question."""


def read_thresholds(path: str | os.PathLike[str], precision: str, arithmetic: str) -> Thresholds:
    """Read the thresholds of one precision and one arithmetic.

    Parameters
    ----------
    path : str or PathLike
        The YAML file.
    precision : str
        Precision of the bundle: `fp32`, `mixed`, `fp16` or `int8`.
    arithmetic : str
        Arithmetic of its context model: `exact` or `float`.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not valid, or has no such thresholds.

    Examples
    --------
    >>> read_thresholds("thresholds.yaml", "fp32", "exact").psnr_difference_db
    0.02

    """
    path = Path(path)
    text = read_text(path)
    node = yaml.compose(text)
    for name in (precision, arithmetic):
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in entries if key.value == name), None)
    if node is None:
        raise ConfigError(f"{path}: no thresholds for {precision} with {arithmetic} arithmetic")
    return validate(Thresholds, path, text, node, (precision, arithmetic))


def read_compiled_limits(path: str | os.PathLike[str]) -> dict[GraphPrecision, dict[str, float]]:
    """Read what is accepted of compiled transforms.

    Parameters
    ----------
    path : str or PathLike
        The YAML file of thresholds.

    Returns
    -------
    dict of str to dict of str to float
        Largest accepted results, by precision and by question: see `elic_runtime.verify`.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not valid.

    """
    path = Path(path)
    text = read_text(path)
    node = yaml.compose(text)
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    found = next((value for key, value in entries if key.value == "compiled"), None)
    if found is None:
        raise ConfigError(f"{path}: no limits of compiled transforms")
    return validate(_CompiledLimits, path, text, found, ("compiled",)).root
