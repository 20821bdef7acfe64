"""`manifest.json`: a `Manifest` and a digest of its fields, which reveals edits."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from elic_runtime.errors import BundleError
from elic_runtime.files import write_bytes
from elic_runtime.manifest import FORMAT_VERSION, OLDEST_VERSION, Manifest
from elic_runtime.plain_json import dumps

MANIFEST_NAME = "manifest.json"

_DIGEST = "digest"
"""Name of the field that contains the digest."""

_VERSIONS = f"versions {OLDEST_VERSION} to {FORMAT_VERSION}"

_MAX_PRODUCER = 100
"""Largest number of characters of a producer that a message repeats."""


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest.

    Parameters
    ----------
    folder : Path
        The bundle's folder.

    Raises
    ------
    BundleError
        If there is no manifest, or it is of another format version, was changed since the export, or is invalid.

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
        raise BundleError(f"{path}: not a bundle's manifest")
    _check_version(path, content)
    if not unchanged:
        raise BundleError(f"{path}: changed since the export (its digest is not that of its fields): export it again")
    try:
        return Manifest.model_validate(_without_digest(content))
    except ValidationError as error:
        raise BundleError(f"{path}: {_first_problem(error)}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a bundle's manifest with its digest. Raises OSError."""
    content = seal(manifest.model_dump(mode="json", exclude_none=True))
    write_bytes(folder / MANIFEST_NAME, f"{dumps(content)}\n".encode())


def seal(content: dict[str, Any]) -> dict[str, Any]:
    """Add the digest to a manifest's fields, or replace it.

    The digest distinguishes an edited manifest from the exporter's. It is not a signature: whoever edits a manifest can
    seal it again.

    Parameters
    ----------
    content : dict
        The fields of the manifest as JSON values.

    """
    fields = _without_digest(content)
    # Sorted keys and no whitespace, so that the digest does not depend on the layout of the file.
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return fields | {_DIGEST: hashlib.sha256(canonical.encode()).hexdigest()}


def _without_digest(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != _DIGEST}


def _check_version(path: Path, content: dict[str, Any]) -> None:
    """Raise BundleError for another format version, whose other fields are not interpreted."""
    found, producer = content.get("format_version"), content.get("producer")
    if not isinstance(found, int) or isinstance(found, bool):
        raise BundleError(f"{path}: not a bundle's manifest: it has no format_version")
    if OLDEST_VERSION <= found <= FORMAT_VERSION:
        return
    named = isinstance(producer, str) and producer.isprintable() and 0 < len(producer) <= _MAX_PRODUCER
    written, other = (f", written by {producer}", producer) if named else ("", "the elic-deploy that wrote it")
    raise BundleError(
        f"{path.parent}: a bundle of format version {found}{written}; this program reads {_VERSIONS}: "
        f"export it again with elic-export, or use {other}"
    )


def _first_problem(error: ValidationError) -> str:
    """Describe the first problem in one line: where it is and what it is."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"
