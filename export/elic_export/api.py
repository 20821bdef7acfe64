"""The library's two calls: a checkpoint to a bundle, and a bundle held against its checkpoint.

The `elic-export` command is a thin layer over them.
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
    """Wraps what a long call goes through, to show how far it is."""

    def __call__(self, items: Sequence[T], what: str, /) -> Iterable[T]:
        """The same items; `what` names them: calibrate, export or parity."""
        ...


def _silent(items: Sequence[T], _what: str, /) -> Iterable[T]:
    return items


@dataclass(frozen=True)
class Exported:
    """A bundle, and whether it was there already, made from the very same sources."""

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

    An earlier bundle in the folder is replaced once the new one is whole. One that was made from the very same
    checkpoint, config, calibration, program and libraries stays.

    Parameters
    ----------
    config : ExportConfig, str or PathLike
        What to export, or its YAML file.
    checkpoint : str or PathLike, optional
        A trained ELIC; None stands for the one that a checkout of the project carries.
    out : str or PathLike
        Folder of the bundle.
    calibration : str or PathLike, optional
        For exact arithmetic: a folder of photographs, or another bundle's `calibration.npz`. None stands for the
        photographs that a checkout of the project carries.
    key : str, optional
        Which of a checkpoint's networks to read, such as `params_ema`.
    variant : str, optional
        Which ELIC the checkpoint must be; None tells it from the tensors.
    force : bool
        Export even if nothing has changed.
    progress : Progress, optional
        Wraps what is gone through.

    Raises
    ------
    ExportError
        For a config, checkpoint or calibration that is not valid, a graph that the config does not allow, or a
        folder that cannot be replaced.
    ImageError
        For a photograph that cannot be read.

    Examples
    --------
    >>> bundle = elic_export.export(config, checkpoint, folder / "bundle", calibration=photographs)
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
    """`export`, which also says whether there was anything to do."""
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
    """Hold a bundle against the checkpoint that it was exported from: graphs, passes, streams and pictures.

    Parameters
    ----------
    bundle : Bundle, str or PathLike
        An exported bundle, or its folder.
    images : str, PathLike or a sequence of them
        Photographs, or a folder of them.
    checkpoint, key, variant
        As `export` was given them.
    thresholds : Thresholds, str or PathLike, optional
        What is accepted, or the YAML file that says it; None stands for the project's own.
    progress : Progress, optional
        Wraps the photographs.

    Returns
    -------
    Report
        `report.passed` is the verdict, `report.findings` are the questions.

    Raises
    ------
    ExportError
        For another checkpoint than the bundle's.
    ImageError, BundleError, ConformanceError, DesyncError
        For images and bundles that cannot be read, or files that do not decode where they were written.

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
            f"{opened.folder}: exported from another checkpoint ({manifest.checkpoint.name}): pass it with --checkpoint"
        )
    calibration = opened.file(manifest.calibration) if manifest.calibration else None
    deployment = _deploy(loaded, calibration, show)
    return measure(deployment, opened, paths, thresholds, lambda items: show(list(items), "parity"))


def checkpoint_path(path: AnyPath | None) -> Path:
    """A checkpoint's file, or for None the embedded one's. Raises ExportError where there is none."""
    from elic_models import CheckpointError, default_checkpoint

    try:
        return Path(path) if path is not None else default_checkpoint()
    except CheckpointError as error:
        raise ExportError(str(error)) from None


def _load_checkpoint(path: Path, key: str | None, variant: str | None) -> "Checkpoint":
    # PyTorch takes seconds to import: what is wrong with a config is said without it.
    from elic_models import CheckpointError, load_checkpoint

    try:
        return load_checkpoint(path, variant, key)
    except CheckpointError as error:
        raise ExportError(str(error)) from None


def _calibration_path(arithmetic: str, calibration: AnyPath | None) -> Path | None:
    if arithmetic == "float":
        if calibration is not None:
            raise ConfigError("--calibration: float arithmetic, which the config asks for, is not calibrated")
        return None
    path = Path(calibration) if calibration is not None else default_config("calibration")
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder")
    return path


def _deploy(checkpoint: "Checkpoint", photographs: Path | None, show: Progress) -> "Deployment":
    """The checkpoint in float arithmetic, or in exact one where there are photographs to calibrate it on."""
    from elic_export.exact.calibration import obtain_calibration
    from elic_export.exact.deployment import deploy_exact, deploy_float

    if photographs is None:
        return deploy_float(checkpoint)
    calibration = obtain_calibration(checkpoint.model, photographs, lambda crops: show(crops, "calibrate"))
    return deploy_exact(checkpoint, calibration)
