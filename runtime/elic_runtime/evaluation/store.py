"""An evaluation on disk: what was measured so far, so that it can be continued, and what it comes to.

```
REPORT/results.jsonl   a line for each photograph as it is measured, after one that says of what evaluation
       results.json    everything, once all are measured: an `Evaluation`, and curves
       results.csv     a line for each point
       report.html     and the pictures that it shows, in pictures/
```
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from elic_runtime.errors import ElicError
from elic_runtime.evaluation.measuring import Measured
from elic_runtime.evaluation.points import FORMAT, Data, Details, ImageResult, Point
from elic_runtime.files import write_bytes
from elic_runtime.plain_json import dumps

LINES, JSON, CSV, PAGE, PICTURES = "results.jsonl", "results.json", "results.csv", "report.html", "pictures"


class _Head(Data):
    version: int
    evaluation: str


class _Line(Data):
    photograph: str
    closely: bool
    result: ImageResult
    details: Details | None


class Store:
    """The results of one evaluation in a folder.

    Parameters
    ----------
    folder : Path
        The folder, which is made if it does not exist.
    evaluation : object
        JSON data that tells this evaluation from others: bundles, steps, anchors, and so on.
    fresh : bool
        Whether to forget what is there.

    Raises
    ------
    ElicError
        If the folder holds the results of another evaluation.
    OSError
        If it cannot be read or written.

    """

    def __init__(self, folder: Path, evaluation: Any, *, fresh: bool) -> None:
        self.folder = folder
        digest = hashlib.sha256(json.dumps(evaluation, sort_keys=True).encode()).hexdigest()
        head = _Head(version=FORMAT, evaluation=digest).model_dump_json()
        self._lines: dict[tuple[str, str, bool], Measured] = {}
        path = folder / LINES
        if not fresh and path.exists():
            first, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
            if first != head:
                raise ElicError(f"{folder}: holds another evaluation: choose another folder, or use --force")
            self._lines = dict(filter(None, map(_read, lines)))
        folder.mkdir(parents=True, exist_ok=True)
        # Written anew, since a run that was killed may have left half a line at the end.
        kept = [_line(key, measured) for key, measured in self._lines.items()]
        write_bytes(path, "".join(f"{line}\n" for line in [head, *kept]).encode())

    def find(self, name: str, sha256: str, *, closely: bool) -> Measured | None:
        """Return what was measured of a photograph, by its file's name and digest, or None."""
        found = self._lines.get((name, sha256, closely))
        if found is not None and found.details is not None and not self._whole(found.details):
            return None
        return found

    def add(self, sha256: str, measured: Measured, *, closely: bool) -> None:
        """Add what was measured of a photograph. Raises OSError."""
        key = (measured.result.image, sha256, closely)
        self._lines[key] = measured
        with (self.folder / LINES).open("a", encoding="utf-8") as file:
            file.write(f"{_line(key, measured)}\n")

    def _whole(self, details: Details) -> bool:
        names = (details.original, details.decoded, details.error, details.bits)
        return all(
            (self.folder / PICTURES / name).is_file() for name in (*names, *(p.file for p in details.progressive))
        )


def write_tables(folder: Path, facts: dict[str, Any], points: Iterable[Point]) -> None:
    """Write `results.json` and `results.csv`. Raises OSError."""
    write_bytes(folder / JSON, f"{dumps(facts)}\n".encode())
    columns = [name for name in Point.model_fields if name != "grid"]
    writer = csv.DictWriter(table := io.StringIO(), columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(point.model_dump() for point in points)
    write_bytes(folder / CSV, table.getvalue().encode())


def _line(key: tuple[str, str, bool], measured: Measured) -> str:
    _, sha256, closely = key
    line = _Line(photograph=sha256, closely=closely, result=measured.result, details=measured.details)
    return line.model_dump_json()


def _read(line: str) -> tuple[tuple[str, str, bool], Measured] | None:
    """Return a line's photograph and what was measured; None of a line that was not written to its end."""
    try:
        read = _Line.model_validate_json(line)
    except ValueError:
        return None
    return (read.result.image, read.photograph, read.closely), Measured(read.result, read.details)
