"""A runner of images of any size, which runs a graph of limited size window by window."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from elic_runtime.batches import fill, groups
from elic_runtime.runners import Arrays, Runner
from elic_runtime.shapes import Batch
from elic_runtime.subgraphs import Subgraph, Tensor
from elic_runtime.windows import Window, Windows, strides

Floats = NDArray[np.float32]

Read = Callable[[int, Window], Arrays]
"""(item of the batch, window) -> the inputs of the graph, with a batch of 1."""

Write = Callable[[int, Window, Arrays], None]
"""Takes what `Read` takes, and the outputs of the graph without their batch: [C, h, w]."""

Tick = Callable[[], None]
"""Is called after every window, to show progress."""


def no_tick() -> None:
    """Show no progress."""


class Windowed:
    """A subgraph that takes images of any size, and any number of them.

    Parameters
    ----------
    runner : Runner
        Runs the graph.
    declared : Subgraph
        Its inputs and outputs.
    windows : Windows
        The windows that it needs.
    batch : Batch
        How many images the graph takes at once.

    Attributes
    ----------
    windows : Windows
        The windows that it needs.
    inputs, outputs : dict of str to Tensor
        Its inputs and outputs.

    """

    def __init__(self, runner: Runner, declared: Subgraph, windows: Windows, batch: Batch) -> None:
        self.windows = windows
        self.inputs, self.outputs = declared.inputs, declared.outputs
        self._runner, self._batch = runner, batch

    def count(self, height: int, width: int) -> int:
        """Return how many windows an image of a size in pixels needs."""
        return len(self.windows.over(height, width))

    def __call__(self, inputs: Arrays, tick: Tick = no_tick) -> Arrays:
        """Run the graph on whole arrays.

        Parameters
        ----------
        inputs : dict of str to ndarray
            Inputs by name: float32 [B, C, h, w], of any B, h and w.
        tick : callable, optional
            Is called after every window.

        Returns
        -------
        dict of str to ndarray
            Outputs by name, of the same batch and image. What one window computes is not copied.

        """
        taken, given = self.inputs, self.outputs
        name, tensor = next(iter(taken.items()))
        count, (height, width) = len(inputs[name]), _pixels(tensor, inputs[name].shape)
        if self.windows.whole(height, width) and self._batch.min <= count <= self._batch.max:
            outputs = self._runner(inputs)
            for _ in range(count):
                tick()
            return outputs
        found: Arrays = {}

        def read(item: int, window: Window) -> Arrays:
            return {role: inputs[role][item : item + 1][window.area(taken[role])] for role in taken}

        def write(item: int, window: Window, outputs: Arrays) -> None:
            for role, values in outputs.items():
                if role not in found:
                    rows, columns = strides(given[role])
                    shape = count, len(values), height // rows, width // columns
                    found[role] = np.empty(shape, values.dtype)
                found[role][item][window.core(given[role])] = values[window.kept(given[role])]

        self.stream(count, self.windows.over(height, width), read, write, tick)
        return found

    def stream(self, count: int, windows: Sequence[Window], read: Read, write: Write, tick: Tick = no_tick) -> None:
        """Run the graph on windows that are read, and written, one batch at a time.

        Parameters
        ----------
        count : int
            Number of images.
        windows : sequence of Window
            Those to run, of each image.
        read, write : callable
            Give the inputs of a window, and take its outputs, in which `Window.kept` are to be kept.
        tick : callable, optional
            Is called after every window.

        """
        places = ((item, window) for item in range(count) for window in windows)
        for group in groups(places, self._batch.max, lambda place: place[1].shape):
            read_ones = [read(*place) for place in group]
            inputs = {role: self._joined([ones[role] for ones in read_ones]) for role in read_ones[0]}
            outputs = self._runner(inputs)
            for i, (item, window) in enumerate(group):
                write(item, window, {role: values[i] for role, values in outputs.items()})
                tick()

    def _joined(self, ones: list[Floats]) -> Floats:
        """Join arrays of one item to a batch that the graph takes."""
        return fill(ones[0] if len(ones) == 1 else np.concatenate(ones), self._batch.min)


def _pixels(tensor: Tensor, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the height and width of the image in pixels, from the shape of a tensor."""
    rows, columns = strides(tensor)
    return shape[2] * rows, shape[3] * columns
