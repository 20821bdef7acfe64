"""A bundle on disk: files are handed out only after their digests were checked."""

import os
from pathlib import Path

from elic_runtime.errors import BundleError
from elic_runtime.files import sha256_file
from elic_runtime.manifest import FileInfo, Manifest, TargetFile
from elic_runtime.manifest_file import read_manifest
from elic_runtime.tables import EntropyTables, read_tables


class Bundle:
    """An exported model in a folder.

    folder: where it lies.
    manifest: its table of contents.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Raises BundleError if the folder holds no valid manifest."""
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(self.folder)

    def has(self, subgraph: str) -> bool:
        """Whether a subgraph is listed and its files are here: halves of a bundle ship separately."""
        info = self.manifest.subgraphs.get(subgraph)
        if info is None:
            return False
        files = (info, info.external_data) if info.external_data else (info,)
        return all((self.folder / part.file).is_file() for part in files)

    def graph_path(self, subgraph: str) -> Path:
        """The checked file of a subgraph. Raises BundleError if it is absent or was changed."""
        info = self.manifest.subgraphs.get(subgraph)
        if info is None:
            raise BundleError(f"{self.folder}: this {self.manifest.form} bundle was exported without {subgraph}")
        if info.external_data is not None:
            self.file(info.external_data)
        return self.file(info)

    def tables(self) -> EntropyTables:
        """The checked entropy tables. Raises BundleError."""
        tables = read_tables(self.file(self.manifest.entropy_tables))
        if len(tables.z.lengths) != self.manifest.model.N:
            raise BundleError(f"{self.folder}: the entropy tables are not those of this model")
        return tables

    def file(self, info: FileInfo | TargetFile) -> Path:
        """The checked file of a manifest's entry. Raises BundleError if it is absent or was changed."""
        path = self.folder / info.file
        try:
            digest = sha256_file(path)
        except FileNotFoundError:
            raise BundleError(f"{path}: missing: export the bundle again, or copy this file too") from None
        except OSError as error:
            raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
        if digest != info.sha256:
            raise BundleError(f"{path}: changed since the export (sha256 differs from the manifest): export it again")
        return path
