"""Serialization to JSON that every parser reads.

RFC 8259 has no numbers for NaN and the infinities. They become the strings `NaN`, `Infinity` and `-Infinity`, which
pydantic converts back to floats.
"""

import json
import math
from typing import Any


def plain(content: Any) -> Any:
    """Convert content to values that JSON has.

    Parameters
    ----------
    content : object
        Dicts, lists, tuples, strings, numbers, True, False and None.

    Returns
    -------
    object
        The content, with lists in the place of tuples, and strings in the place of NaN and infinities.

    """
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    return content


def dumps(content: Any) -> str:
    """Serialize content as JSON, with one value per line."""
    return json.dumps(plain(content), indent=1, allow_nan=False)
