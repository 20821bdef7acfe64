"""A bundle on disk, whose files are handed out only after their digests were checked."""

import os
from pathlib import Path

from elic_runtime.errors import BundleError
from elic_runtime.files import sha256_file
from elic_runtime.manifest import FileInfo, Manifest, TargetFile
from elic_runtime.manifest_file import read_manifest
from elic_runtime.tables import EntropyTables, read_tables


class Bundle:
    """An exported model in a folder.

    Parameters
    ----------
    folder : str or PathLike
        The bundle's folder.

    Attributes
    ----------
    folder : Path
        The bundle's folder.
    manifest : Manifest
        Its table of contents.

    Raises
    ------
    BundleError
        If the folder contains no valid manifest.

    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(self.folder)

    def has(self, subgraph: str) -> bool:
        """Return whether a subgraph is listed and its files exist; the halves of a bundle may be shipped separately.

        Parameters
        ----------
        subgraph : str
            Name of the subgraph.

        """
        info = self.manifest.subgraphs.get(subgraph)
        if info is None:
            return False
        files = (info, info.external_data) if info.external_data else (info,)
        return all((self.folder / part.file).is_file() for part in files)

    def graph_path(self, subgraph: str) -> Path:
        """Return the path of a subgraph's file, after its digest was checked.

        Parameters
        ----------
        subgraph : str
            Name of the subgraph.

        Raises
        ------
        BundleError
            If the subgraph was not exported, or a file of it is missing or was changed.

        """
        info = self.manifest.subgraphs.get(subgraph)
        if info is None:
            raise BundleError(f"{self.folder}: this {self.manifest.form} bundle was exported without {subgraph}")
        if info.external_data is not None:
            self.file(info.external_data)
        return self.file(info)

    def tables(self) -> EntropyTables:
        """Read the entropy tables.

        Raises
        ------
        BundleError
            If they are missing, were changed, or do not fit the model.

        """
        tables = read_tables(self.file(self.manifest.entropy_tables))
        if len(tables.z.lengths) != self.manifest.model.N:
            raise BundleError(f"{self.folder}: the entropy tables are not those of this model")
        return tables

    def file(self, info: FileInfo | TargetFile) -> Path:
        """Return the path of a file of the manifest, after its digest was checked.

        Parameters
        ----------
        info : FileInfo or TargetFile
            The file's entry in the manifest.

        Raises
        ------
        BundleError
            If the file is missing, unreadable or was changed.

        """
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
