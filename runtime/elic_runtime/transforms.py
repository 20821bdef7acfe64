"""A bundle's transforms, whichever of its graphs implement them: merged, separate, or cut in two.

`load_analysis` and `load_synthesis` give the transforms of one shape. `Analysis` and `Synthesis` take images of any
size, and read and write their pixels window by window.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from elic_runtime.bundle import Bundle
from elic_runtime.pixels import Image, to_image, to_input
from elic_runtime.runners import Arrays, Runner
from elic_runtime.shapes import DOWNSAMPLING, LATENT_STRIDE
from elic_runtime.tiles import padded
from elic_runtime.windowed import Tick, Windowed, no_tick
from elic_runtime.windows import Window, Windows, halo_of_transform

Floats = NDArray[np.float32]

Load = Callable[[str], Runner]
"""Returns the runner of the subgraph with a given name."""

Paste = Callable[[int, slice, slice, Image], None]
"""Takes the number of an image, rows and columns in it, and the pixels there."""


def load_analysis(bundle: Bundle, load: Load) -> Callable[[Floats], tuple[Floats, Floats]]:
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


def load_synthesis(bundle: Bundle, load: Load) -> Callable[[Floats], Floats]:
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


class Analysis:
    """g_a and h_a of images of any size.

    Parameters
    ----------
    bundle : Bundle
        The bundle that contains them.
    load : callable
        Returns the runner of the subgraph with a given name.
    halo : int
        Positions of y around the core of a window of g_a.

    """

    def __init__(self, bundle: Bundle, load: Load, halo: int) -> None:
        manifest = bundle.manifest
        self._model = manifest.model
        self._merged = bundle.has("g_a_h_a")
        name = "g_a_h_a" if self._merged else "g_a"
        reach = halo_of_transform(halo, manifest.reach("g_a"))
        windows = Windows.of(manifest.table["g_a"], manifest.extent(name), reach)
        self._g_a = Windowed(load(name), manifest.table["g_a"], windows, manifest.batch)
        needs_h_a = not self._merged or manifest.reach("h_a") is not None
        self._h_a = load_windowed(bundle, load, "h_a") if needs_h_a else None

    @property
    def room(self) -> bool:
        """Whether images may be larger than the graphs."""
        return self._h_a is not None and self._g_a.windows.room and self._h_a.windows.room

    def count(self, height: int, width: int) -> int:
        """Return how many windows an image of a size in pixels needs."""
        windows = self._g_a.count(height, width)
        h_a = self._needed_h_a(height, width)
        return windows if h_a is None else windows + h_a.count(height, width)

    def __call__(self, images: Sequence[Image], height: int, width: int, tick: Tick = no_tick) -> tuple[Floats, Floats]:
        """Transform images.

        Parameters
        ----------
        images : sequence of ndarray
            uint8 [H, W, 3] each.
        height, width : int
            Size in pixels, multiples of 64, that they are padded to.
        tick : callable, optional
            Is called after every window.

        Returns
        -------
        tuple of ndarray
            y [B, M, height/16, width/16] and z [B, N, height/64, width/64], float32.

        """
        tensor, h_a = self._g_a.outputs["y"], self._needed_h_a(height, width)
        y = np.empty((len(images), self._model.M, height // LATENT_STRIDE, width // LATENT_STRIDE), np.float32)
        z = np.empty((len(images), self._model.N, height // DOWNSAMPLING, width // DOWNSAMPLING), np.float32)

        def read(item: int, window: Window) -> Arrays:
            rows, columns = window.rows, window.columns
            area = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
            return {"x": to_input(padded(images[item], *area))}

        def write(item: int, window: Window, outputs: Arrays) -> None:
            y[item][window.core(tensor)] = outputs["y"][window.kept(tensor)]
            if h_a is None:
                z[item] = outputs["z"]

        self._g_a.stream(len(images), self._g_a.windows.over(height, width), read, write, tick)
        return y, z if h_a is None else h_a({"y": y}, tick)["z"]

    def _needed_h_a(self, height: int, width: int) -> Windowed | None:
        """Return h_a, or None if the merged graph gives z too, which it can only of a whole image."""
        return None if self._merged and self._g_a.windows.whole(height, width) else self._h_a


class Synthesis:
    """g_s of images of any size.

    Parameters
    ----------
    bundle : Bundle
        The bundle that contains it.
    load : callable
        Returns the runner of the subgraph with a given name.
    halo : int
        Positions of y around the core of a window of g_s.

    """

    def __init__(self, bundle: Bundle, load: Load, halo: int) -> None:
        manifest, synthesise = bundle.manifest, load_synthesis(bundle, load)
        declared = manifest.table["g_s"]
        reach = halo_of_transform(halo, manifest.reach("g_s"))
        windows = Windows.of(declared, manifest.extent("g_s"), reach)
        self._g_s = Windowed(lambda inputs: {"x_hat": synthesise(inputs["y_hat"])}, declared, windows, manifest.batch)

    @property
    def room(self) -> bool:
        """Whether images may be larger than the graph."""
        return self._g_s.windows.room

    def windows(self, height: int, width: int) -> list[Window]:
        """Return the windows of an image of a size in pixels."""
        return self._g_s.windows.over(height, width)

    def __call__(self, y_hat: Floats, windows: Sequence[Window], paste: Paste, tick: Tick = no_tick) -> None:
        """Compute windows of images.

        Parameters
        ----------
        y_hat : ndarray
            float32 [B, M, H/16, W/16].
        windows : sequence of Window
            Those of `windows` that are needed.
        paste : callable
            Takes the core of every window as pixels.
        tick : callable, optional
            Is called after every window.

        """
        taken, given = self._g_s.inputs["y_hat"], self._g_s.outputs["x_hat"]

        def read(item: int, window: Window) -> Arrays:
            return {"y_hat": y_hat[item : item + 1][window.area(taken)]}

        def write(item: int, window: Window, outputs: Arrays) -> None:
            _, rows, columns = window.core(given)
            paste(item, rows, columns, to_image(outputs["x_hat"][window.kept(given)]))

        self._g_s.stream(len(y_hat), windows, read, write, tick)


def load_windowed(bundle: Bundle, load: Load, name: str) -> Windowed:
    """Load a subgraph that runs in windows with all around them that they depend on.

    Parameters
    ----------
    bundle : Bundle
        The bundle that contains it.
    load : callable
        Returns the runner of the subgraph with a given name.
    name : str
        Its name.

    """
    manifest = bundle.manifest
    windows = Windows.of(manifest.table[name], manifest.extent(name), manifest.reach(name))
    return Windowed(load(name), manifest.table[name], windows, manifest.batch)
