"""Content -> JSON that every reader takes.

RFC 8259 has no numbers for NaN and the infinities. They become the strings `NaN`,
`Infinity` and `-Infinity`, which pydantic reads back as the floats that they were.
"""

import json
import math
from typing import Any


def plain(content: Any) -> Any:
    """The same content in dicts, lists and numbers that JSON has.

    content: of dicts, lists, tuples, strings, numbers, True, False and None.
    """
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    return content


def dumps(content: Any) -> str:
    """Content as JSON, one value a line."""
    return json.dumps(plain(content), indent=1, allow_nan=False)
