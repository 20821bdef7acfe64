"""The key of heat maps: their colours as a gradient of CSS."""

from elic_runtime.errors import ElicError
from elic_runtime.evaluation.details import COLOURS

STOPS = 9
"""Between so few stops of a perceptually uniform map, straight lines are off by less than is seen."""


def gradient() -> str:
    """Return the colours of the maps, from the first on the left to the last on the right, as a CSS image.

    Raises
    ------
    ElicError
        If matplotlib is not installed.

    """
    try:
        from matplotlib import colormaps
        from matplotlib.colors import to_hex
    except ModuleNotFoundError:
        raise ElicError("heat maps need matplotlib: install the extra, pip install 'elic-deploy[report]'") from None
    colours = colormaps[COLOURS].resampled(STOPS)
    return f"linear-gradient(to right, {', '.join(to_hex(colours(stop)) for stop in range(STOPS))})"
