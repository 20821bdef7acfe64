"""A bundle on disk, whose files are handed out only after their digests were checked."""

import os
from pathlib import Path

from elic_runtime.entries import CompiledTarget, FileInfo, Interface, TargetFile
from elic_runtime.errors import BundleError
from elic_runtime.files import sha256_file
from elic_runtime.manifest import Manifest
from elic_runtime.manifest_file import read_manifest
from elic_runtime.tables import EntropyTables, read_tables
from elic_runtime.thumbnail_head import Head, read_head


class Bundle:
    """An exported model in a folder.

    Parameters
    ----------
    folder : str or PathLike
        The bundle's folder.
    target : str, optional
        Name of a compiler. The transforms are then those that it compiled, and not the ONNX graphs.

    Attributes
    ----------
    folder : Path
        The bundle's folder.
    manifest : Manifest
        Its table of contents.

    Raises
    ------
    BundleError
        If the folder contains no valid manifest, or nothing that the compiler made.

    """

    def __init__(self, folder: str | os.PathLike[str], target: str | None = None) -> None:
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(self.folder)
        self._target = target
        self._compiled: CompiledTarget | None = None
        if target is not None:
            self._compiled = self.manifest.compiled.get(target)
            if self._compiled is None:
                raise BundleError(
                    f"{self.folder}: not compiled for {target}: elic-export compile {self.folder} --target {target}"
                )

    def has(self, subgraph: str) -> bool:
        """Return whether a subgraph is listed and its files exist; the halves of a bundle may be shipped separately.

        Parameters
        ----------
        subgraph : str
            Name of the subgraph.

        """
        if (target := self._compiler_of(subgraph)) is not None:
            compiled = target.subgraphs.get(subgraph)
            return compiled is not None and (self.folder / compiled.files[0].file).is_file()
        info = self.manifest.subgraphs.get(subgraph)
        if info is None:
            return False
        files = (info, info.external_data) if info.external_data else (info,)
        return all((self.folder / part.file).is_file() for part in files)

    def interface(self, subgraph: str) -> Interface:
        """Return the tensors of a subgraph.

        Parameters
        ----------
        subgraph : str
            Name of the subgraph.

        Raises
        ------
        BundleError
            If the subgraph was not exported, or not compiled.

        """
        if (target := self._compiler_of(subgraph)) is not None:
            if subgraph not in target.subgraphs:
                raise BundleError(f"{self.folder}: {self._target} did not compile {subgraph}")
            return target.subgraphs[subgraph]
        if subgraph not in self.manifest.subgraphs:
            raise BundleError(f"{self.folder}: this {self.manifest.form} bundle was exported without {subgraph}")
        return self.manifest.subgraphs[subgraph]

    def graph_path(self, subgraph: str) -> Path:
        """Return the path of the file that a runner loads, after its digest and those of its other files were checked.

        Parameters
        ----------
        subgraph : str
            Name of the subgraph.

        Raises
        ------
        BundleError
            If the subgraph was not exported, or a file of it is missing or was changed.

        """
        self.interface(subgraph)
        if (target := self._compiler_of(subgraph)) is not None:
            first, *others = target.subgraphs[subgraph].files
            for file in others:
                if (self.folder / file.file).exists():  # a board may do without what only a simulator needs
                    self.file(file)
            return self.file(first)
        info = self.manifest.subgraphs[subgraph]
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

    def thumbnail_head(self) -> Head:
        """Read what makes thumbnails of y_hat.

        Raises
        ------
        BundleError
            If there is none, or if its file is missing or was changed.

        """
        if self.manifest.calibration is None:
            raise BundleError(f"{self.folder}: a bundle of {self.manifest.arithmetic} arithmetic makes no thumbnails")
        return read_head(self.file(self.manifest.calibration), self.manifest.model.M)

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

    def _compiler_of(self, subgraph: str) -> CompiledTarget | None:
        """Return the compiler whose files are used for a subgraph, None for those that ONNX Runtime runs."""
        return None if self.manifest.on_cpu(subgraph) else self._compiled
