"""The colours of reports, in light and in dark: charts draw with them, and `base.html.j2` writes them as CSS variables.

Series are Okabe and Ito's colours, which people with any of the common kinds of colour blindness tell apart; each theme
orders them by their contrast with its background. Charts never rely on them alone: every series has its own marker too.
"""

from dataclasses import dataclass

ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"
"""M. Okabe and K. Ito, Color Universal Design, 2008; their eighth colour is black."""


@dataclass(frozen=True)
class Ink:
    """A colour of pages and charts.

    Parameters
    ----------
    name : str
        Name of its CSS variable, without the dashes.
    light, dark : str
        The colour in each theme, as `#rrggbb`. Charts are drawn with the light one, so no two inks may share it.

    """

    name: str
    light: str
    dark: str

    @property
    def css(self) -> str:
        """The variable, which falls back to the light colour where a picture stands alone."""
        return f"var(--{self.name}, {self.light})"


PAPER = Ink("paper", "#ffffff", "#14171b")
TEXT = Ink("text", "#1b1f24", "#e6e9ed")
MUTED = Ink("muted", "#57606a", "#a3abb5")
LINE = Ink("line", "#d8dee4", "#353b43")
RAISED = Ink("raised", "#f4f6f8", "#1e2329")
LINK = Ink("link", "#0b5cad", "#7cc0f5")
PASS = Ink("pass", "#00664a", "#4fd1a8")
FAIL = Ink("fail", "#a84300", "#ff9a4d")

SERIES = tuple(
    Ink(f"series-{number}", light, dark)
    for number, (light, dark) in enumerate(
        ((BLUE, SKY), (VERMILLION, ORANGE), (GREEN, GREEN), (ORANGE, YELLOW), (SKY, VERMILLION), (PURPLE, PURPLE))
    )
)
"""One for each codec, in their order; with more codecs they begin again, with other markers.

Green and purple, which a browser's simulation of deuteranopia brings closest together, are far apart.
"""

INKS = (PAPER, TEXT, MUTED, LINE, RAISED, LINK, PASS, FAIL, *SERIES)
