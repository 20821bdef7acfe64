"""Where pages come from: the templates of this package, and those of packages that extend them."""

from typing import TYPE_CHECKING

from elic_runtime.errors import ElicError
from elic_runtime.reports.colours import INKS

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(*packages: str) -> "Environment":
    """Make what renders pages.

    Parameters
    ----------
    *packages : str
        Packages whose folders hold further templates, such as children of `base.html.j2`.

    Returns
    -------
    Environment
        It escapes whatever is put into a page, and refuses names that it does not know.

    Raises
    ------
    ElicError
        If Jinja2 is not installed.

    """
    try:
        from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
    except ModuleNotFoundError:
        raise ElicError("reports need Jinja2: install the extra, pip install 'elic-deploy[report]'") from None
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package, "") for package in (*packages, "elic_runtime.reports")]),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["inks"] = INKS
    return made
