"""A bundle's transforms, whichever of its graphs implement them: merged, separate, or cut in two."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from elic_runtime.bundle import Bundle
from elic_runtime.runners import Runner

Floats = NDArray[np.float32]


def load_analysis(bundle: Bundle, load: Callable[[str], Runner]) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Load the analysis transforms, x -> (y, z), preferring the merged graph, which needs one call only.

    Parameters
    ----------
    bundle : Bundle
        The bundle that contains them.
    load : callable
        Returns the runner of the subgraph with a given name.

    """
    if bundle.has("g_a_h_a"):
        merged = load("g_a_h_a")

        def analyse(x: Floats) -> tuple[Floats, Floats]:
            outputs = merged({"x": x})
            return outputs["y"], outputs["z"]
    else:
        g_a, h_a = load("g_a"), load("h_a")

        def analyse(x: Floats) -> tuple[Floats, Floats]:
            y = g_a({"x": x})["y"]
            return y, h_a({"y": y})["z"]

    return analyse


def load_synthesis(bundle: Bundle, load: Callable[[str], Runner]) -> Callable[[Floats], Floats]:
    """Load the synthesis transform, y_hat -> x_hat, using the two halves of g_s if the bundle has only these.

    Parameters
    ----------
    bundle : Bundle
        The bundle that contains it.
    load : callable
        Returns the runner of the subgraph with a given name.

    """
    if bundle.has("g_s") or not bundle.has("g_s_0"):
        g_s = load("g_s")
        return lambda y_hat: g_s({"y_hat": y_hat})["x_hat"]
    first, second = load("g_s_0"), load("g_s_1")
    return lambda y_hat: second(first({"y_hat": y_hat}))["x_hat"]
