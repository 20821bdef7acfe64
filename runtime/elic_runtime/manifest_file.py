"""`manifest.json`: a `Manifest` and the digest of what it says, so that an edit of it is noticed."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from elic_runtime.errors import BundleError
from elic_runtime.files import write_bytes
from elic_runtime.manifest import FORMAT_VERSION, Manifest
from elic_runtime.plain_json import dumps

MANIFEST_NAME = "manifest.json"

_DIGEST = "digest"
"""The file's field that has it."""

_MAX_PRODUCER = 100
"""Characters of a name and a version that a message repeats."""


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest.

    Raises BundleError: there is none, it is of another format version, it was changed since it was written, or it
    is not valid.
    """
    path = folder / MANIFEST_NAME
    try:
        text = path.read_bytes()
    except PermissionError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    except OSError:
        raise BundleError(
            f"{folder}: no bundle here ({MANIFEST_NAME} not found): export one with elic-export"
        ) from None
    try:
        content = json.loads(text)
        unchanged = isinstance(content, dict) and content.get(_DIGEST) == seal(content)[_DIGEST]
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: Invalid JSON: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise BundleError(f"{path}: is no manifest of a bundle")
    _check_version(path, content)
    if not unchanged:
        raise BundleError(f"{path}: changed since the export (its digest is not that of what it says): export it again")
    try:
        return Manifest.model_validate(_without_digest(content))
    except ValidationError as error:
        raise BundleError(f"{path}: {_first_problem(error)}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a bundle's manifest with its digest. Raises OSError."""
    content = seal(manifest.model_dump(mode="json", exclude_none=True))
    write_bytes(folder / MANIFEST_NAME, f"{dumps(content)}\n".encode())


def seal(content: dict[str, Any]) -> dict[str, Any]:
    """A manifest's fields as its file has them: with their digest, in the place of one that may be there.

    It tells an edited manifest from the exporter's. It is no signature: whoever edits one can seal it again.
    """
    fields = _without_digest(content)
    # Without blanks and keys in order, so that layout does not count.
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return fields | {_DIGEST: hashlib.sha256(canonical.encode()).hexdigest()}


def _without_digest(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != _DIGEST}


def _check_version(path: Path, content: dict[str, Any]) -> None:
    """Raises BundleError for another format version, before anything else of it is looked at."""
    found, producer = content.get("format_version"), content.get("producer")
    if found == FORMAT_VERSION:
        return
    if not isinstance(found, int):
        raise BundleError(f"{path}: is no manifest of a bundle: it has no format_version")
    named = isinstance(producer, str) and producer.isprintable() and 0 < len(producer) <= _MAX_PRODUCER
    written, other = (f", written by {producer}", producer) if named else ("", "the elic-deploy that wrote it")
    raise BundleError(
        f"{path.parent}: a bundle of format version {found}{written}; this program reads version {FORMAT_VERSION}: "
        f"export it again with elic-export, or use {other}"
    )


def _first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, as one line: where it is, and what."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"
