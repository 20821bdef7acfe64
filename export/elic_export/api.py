"""The Python API: export a checkpoint as a bundle, and compare a bundle with its checkpoint.

The `elic-export` command is a thin layer over these calls.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from elic_runtime.bundle import Bundle

from elic_export.config import ExportConfig, Thresholds, default_config, read_config, read_thresholds
from elic_export.errors import ConfigError, ExportError
from elic_export.sources import sources_digest, up_to_date

if TYPE_CHECKING:
    from elic_models import Checkpoint

    from elic_export.exact.deployment import Deployment
    from elic_export.parity.report import Report

AnyPath = str | os.PathLike[str]

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Shows the progress of a long call by wrapping the items that the call iterates over.

    Examples
    --------
    >>> def progress(items, what):
    ...     for i, item in enumerate(items):
    ...         print(f"{what}: {i} of {len(items)}")
    ...         yield item
    >>> for item in progress(["a photograph"], "parity"):  # as `measure_parity(..., progress=progress)` does
    ...     pass
    parity: 0 of 1

    """

    def __call__(self, items: Sequence[T], what: str, /) -> Iterable[T]:
        """Wrap items.

        Parameters
        ----------
        items : sequence
            Crops, subgraphs or photographs.
        what : {"calibrate", "export", "parity"}
            What is done with them.

        Returns
        -------
        iterable
            The same items in the same order.

        """
        ...


def _silent(items: Sequence[T], _what: str, /) -> Iterable[T]:
    return items


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Parameters
    ----------
    bundle : Bundle
        The bundle in the folder.
    reused : bool
        Whether it was there already, made from the same sources.

    """

    bundle: Bundle
    reused: bool


def export(
    config: ExportConfig | AnyPath,
    checkpoint: AnyPath | None,
    out: AnyPath,
    *,
    calibration: AnyPath | None = None,
    key: str | None = None,
    variant: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Export a checkpoint as a bundle.

    An earlier bundle in the folder is replaced once the new one is complete. It is kept if it was made from the same
    checkpoint, config, calibration, program and libraries.

    Parameters
    ----------
    config : ExportConfig, str or PathLike
        What to export, or the YAML file that says it.
    checkpoint : str or PathLike, optional
        File of a trained ELIC. The default is the checkpoint that a checkout of the project contains.
    out : str or PathLike
        Folder of the bundle.
    calibration : str or PathLike, optional
        For exact arithmetic: a photograph, a folder of them, or the `calibration.npz` of another bundle. The default
        is the photographs that a checkout of the project contains.
    key : str, optional
        Which network to read from a checkpoint that holds several, such as `params_ema`.
    variant : str, optional
        Which ELIC the checkpoint must be. The default is to recognize it by its tensors.
    force : bool
        Export even if nothing has changed.
    progress : Progress, optional
        Shows progress.

    Returns
    -------
    Bundle
        The bundle in the folder.

    Raises
    ------
    ExportError
        If the config, checkpoint or calibration is not valid, if the config does not allow a graph, or if the folder
        cannot be replaced.
    ImageError
        If a photograph cannot be read.

    Examples
    --------
    >>> bundle = elic_export.export(config, checkpoint, folder / "bundle", calibration=calibration)
    >>> sorted(bundle.manifest.subgraphs)[:3]
    ['context_0_anchor', 'context_0_nonanchor', 'context_1_anchor']

    """
    return export_or_reuse(
        config,
        checkpoint,
        out,
        calibration=calibration,
        key=key,
        variant=variant,
        force=force,
        progress=progress,
    ).bundle


def export_or_reuse(
    config: ExportConfig | AnyPath,
    checkpoint: AnyPath | None,
    out: AnyPath,
    *,
    calibration: AnyPath | None = None,
    key: str | None = None,
    variant: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Export a checkpoint as `export` does, and say whether there was anything to do.

    Parameters
    ----------
    config, checkpoint, out, calibration, key, variant, force, progress
        See `export`.

    Returns
    -------
    Exported
        The bundle, and whether it was there already.

    """
    show, folder = progress or _silent, Path(out)
    chosen = config if isinstance(config, ExportConfig) else read_config(Path(config))
    path = checkpoint_path(checkpoint)
    if not path.is_file():
        raise ExportError(f"{path}: no such checkpoint")
    photographs = _calibration_path(chosen.arithmetic, calibration)
    sources = sources_digest(path, chosen, photographs, key, variant)
    if not force and up_to_date(folder, sources):
        logger.info("%s is up to date", folder)
        return Exported(Bundle(folder), reused=True)
    from elic_export.bundle import export_bundle

    deployment = _deploy(_load_checkpoint(path, key, variant), photographs, show)
    export_bundle(deployment, chosen, folder, lambda graphs: show(list(graphs), "export"), sources)
    logger.info("exported %s", folder)
    return Exported(Bundle(folder), reused=False)


def measure_parity(
    bundle: Bundle | AnyPath,
    images: AnyPath | Sequence[AnyPath],
    *,
    checkpoint: AnyPath | None = None,
    key: str | None = None,
    variant: str | None = None,
    thresholds: Thresholds | AnyPath | None = None,
    progress: Progress | None = None,
) -> "Report":
    """Compare a bundle with the checkpoint that it was exported from: graphs, passes, streams and pictures.

    Parameters
    ----------
    bundle : Bundle, str or PathLike
        An exported bundle, or its folder.
    images : str, PathLike or a sequence of them
        Photographs, or folders of them.
    checkpoint, key, variant
        What `export` was given.
    thresholds : Thresholds, str or PathLike, optional
        The largest accepted errors, or the YAML file that holds them. The default is the file that a checkout of the
        project contains.
    progress : Progress, optional
        Shows progress.

    Returns
    -------
    Report
        What was measured. `report.passed` is the verdict, and `report.findings` has the verdict on each question.

    Raises
    ------
    ExportError
        If the checkpoint is not the one that the bundle was exported from.
    ImageError, BundleError
        If a photograph or the bundle cannot be read.
    ConformanceError
        If ONNX Runtime does not compute the bundle's exact subgraphs exactly on this machine.
    DesyncError
        If a file does not decode to the symbols that were encoded.

    Examples
    --------
    >>> report = elic_export.measure_parity(bundle, photograph, checkpoint=checkpoint)
    >>> report.streams_differing
    0

    """
    from elic_runtime.images import image_files

    from elic_export.parity.measure import measure

    show, opened = progress or _silent, bundle if isinstance(bundle, Bundle) else Bundle(bundle)
    manifest = opened.manifest
    given = [images] if isinstance(images, str | os.PathLike) else images
    paths = [path for each in given for path in image_files(Path(each))]
    if not isinstance(thresholds, Thresholds):
        file = Path(thresholds) if thresholds is not None else default_config("thresholds.yaml")
        thresholds = read_thresholds(file, manifest.precision, manifest.arithmetic)
    loaded = _load_checkpoint(checkpoint_path(checkpoint), key, variant)
    if loaded.sha256 != manifest.checkpoint.sha256:
        raise ExportError(
            f"{opened.folder}: exported from another checkpoint, {manifest.checkpoint.name}; "
            "pass that one with --checkpoint"
        )
    calibration = opened.file(manifest.calibration) if manifest.calibration else None
    deployment = _deploy(loaded, calibration, show)
    return measure(deployment, opened, paths, thresholds, lambda items: show(list(items), "parity"))


def checkpoint_path(path: AnyPath | None) -> Path:
    """Return the path of a checkpoint.

    Parameters
    ----------
    path : str or PathLike, optional
        File of a trained ELIC. The default is the checkpoint that a checkout of the project contains.

    Raises
    ------
    ExportError
        If no path is given and this is not a checkout.

    """
    from elic_models import CheckpointError, default_checkpoint

    try:
        return Path(path) if path is not None else default_checkpoint()
    except CheckpointError as error:
        raise ExportError(str(error)) from None


def _load_checkpoint(path: Path, key: str | None, variant: str | None) -> "Checkpoint":
    # Imported late, since PyTorch takes seconds to import: errors in a config are reported before.
    from elic_models import CheckpointError, load_checkpoint

    try:
        return load_checkpoint(path, variant, key)
    except CheckpointError as error:
        raise ExportError(str(error)) from None


def _calibration_path(arithmetic: str, calibration: AnyPath | None) -> Path | None:
    if arithmetic == "float":
        if calibration is not None:
            raise ConfigError("--calibration: the config asks for float arithmetic, which is not calibrated")
        return None
    path = Path(calibration) if calibration is not None else default_config("calibration")
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder")
    return path


def _deploy(checkpoint: "Checkpoint", photographs: Path | None, show: Progress) -> "Deployment":
    """Prepare a checkpoint for export, in exact arithmetic if there are photographs to calibrate it on."""
    from elic_export.exact.calibration import obtain_calibration
    from elic_export.exact.deployment import deploy_exact, deploy_float

    if photographs is None:
        return deploy_float(checkpoint)
    calibration = obtain_calibration(checkpoint.model, photographs, lambda crops: show(crops, "calibrate"))
    return deploy_exact(checkpoint, calibration)
