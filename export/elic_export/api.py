"""The Python API: export a checkpoint as a bundle, and compare a bundle with its checkpoint.

The `elic-export` command is a thin layer over these calls.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from elic_runtime.bundle import Bundle

from elic_export.config import ExportConfig, read_config
from elic_export.errors import ConfigError, ExportError
from elic_export.sources import sources_digest, up_to_date
from elic_export.thresholds import Thresholds, read_thresholds
from elic_export.yaml_file import default_config

if TYPE_CHECKING:
    from elic_models import Checkpoint

    from elic_export.compiling.compile import Compiled
    from elic_export.compiling.settings import CompileSettings
    from elic_export.exact.deployment import Deployment
    from elic_export.int8_layers import Int8Layers
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
            Crops, layers, subgraphs or photographs.
        what : {"calibrate", "int8", "export", "parity"}
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
    stale : tuple of str
        Tools that had compiled the bundle which was replaced. What they made is gone, since it was of other graphs.

    """

    bundle: Bundle
    reused: bool
    stale: tuple[str, ...] = ()


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
        For exact arithmetic and int8: a photograph, a folder of them or, if nothing is in int8, the `calibration.npz`
        of another bundle. The default is the photographs that a checkout of the project contains.
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
    photographs = _calibration_path(chosen, calibration)
    sources = sources_digest(path, chosen, photographs, key, variant)
    if not force and up_to_date(folder, sources):
        logger.info("%s is up to date", folder)
        return Exported(Bundle(folder), reused=True)
    from elic_export.bundle import compiled_targets, export_bundle

    exact = photographs if chosen.arithmetic == "exact" else None
    deployment = _deploy(_load_checkpoint(path, key, variant), exact, show)
    int8 = _int8_layers(deployment, chosen, photographs, show) if photographs and chosen.precision == "int8" else None
    stale = compiled_targets(folder)
    export_bundle(deployment, chosen, folder, lambda graphs: show(list(graphs), "export"), sources, int8)
    logger.info("exported %s", folder)
    return Exported(Bundle(folder), reused=False, stale=stale)


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
    loaded = _checkpoint_of(opened, checkpoint, key, variant)
    calibration = opened.file(manifest.calibration) if manifest.calibration else None
    deployment = _deploy(loaded, calibration, show)
    return measure(deployment, opened, paths, thresholds, lambda items: show(list(items), "parity"))


def compile_bundle(
    bundle: AnyPath,
    targets: Sequence[str],
    *,
    checkpoint: AnyPath | None = None,
    key: str | None = None,
    variant: str | None = None,
    settings: "CompileSettings | None" = None,
    calibration: AnyPath | None = None,
    progress: Progress | None = None,
) -> "Iterator[Compiled | ExportError]":
    """Compile a bundle's transforms with tools that are on PyPI, verify the results, and record them in the bundle.

    The subgraphs that decide symbols are not compiled. ONNX Runtime runs them.

    Parameters
    ----------
    bundle : str or PathLike
        Folder of the bundle.
    targets : sequence of str
        Names of the tools.
    checkpoint, key, variant
        What `export` was given. The transforms are traced again, with the rewrites that suit each tool.
    settings : CompileSettings, optional
        How to compile.
    calibration : str or PathLike, optional
        For int8: a photograph or a folder of them. The default is those that a checkout of the project contains.
    progress : Progress, optional
        Shows progress.

    Yields
    ------
    Compiled or ExportError
        For each tool, what was made and measured, or the reason why nothing was. A `NotInstalledError` says how to
        install the tool.

    Raises
    ------
    ExportError
        If a tool is not known, or the checkpoint is not the one that the bundle was exported from.
    BundleError
        If the bundle cannot be read.

    Examples
    --------
    >>> for result in elic_export.compile_bundle(bundle, ["mnn", "openvino"], checkpoint=checkpoint):
    ...     print(result.tool, sorted(result.target.subgraphs))
    mnn ['g_a_h_a', 'g_s']
    openvino ['g_a_h_a', 'g_s']

    """
    from elic_export.compiling.compile import compile_transforms
    from elic_export.compiling.graphs import transforms_of
    from elic_export.compiling.settings import CompileSettings
    from elic_export.exact.deployment import deploy_float
    from elic_export.targets.registry import all_targets

    known = {target.tool: target for target in all_targets()}
    for name in targets:
        if name not in known:
            raise ExportError(f"no target {name}: the targets are {', '.join(known)}")
    transforms_of(Bundle(bundle).manifest)
    show, chosen = progress or _silent, settings or CompileSettings()
    if chosen.precision == "int8" and chosen.photographs is None:
        photographs = Path(calibration) if calibration is not None else default_config("calibration")
        _check_photographs(photographs)
        chosen = replace(chosen, photographs=photographs)
    deployment = deploy_float(_checkpoint_of(Bundle(bundle), checkpoint, key, variant))
    for name in targets:
        try:
            yield compile_transforms(
                deployment, Bundle(bundle), known[name], chosen, lambda layers: show(layers, "int8")
            )
        except ExportError as error:
            yield error


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


def _checkpoint_of(bundle: Bundle, path: AnyPath | None, key: str | None, variant: str | None) -> "Checkpoint":
    """Load the checkpoint that a bundle was exported from. Raises ExportError if it is another one."""
    loaded = _load_checkpoint(checkpoint_path(path), key, variant)
    wanted = bundle.manifest.checkpoint
    if loaded.sha256 != wanted.sha256:
        raise ExportError(
            f"{bundle.folder}: exported from another checkpoint, {wanted.name}; pass that one with --checkpoint"
        )
    return loaded


def _load_checkpoint(path: Path, key: str | None, variant: str | None) -> "Checkpoint":
    # Imported late, since PyTorch takes seconds to import: errors in a config are reported before.
    from elic_models import CheckpointError, load_checkpoint

    try:
        return load_checkpoint(path, variant, key)
    except CheckpointError as error:
        raise ExportError(str(error)) from None


def _calibration_path(config: ExportConfig, calibration: AnyPath | None) -> Path | None:
    if config.arithmetic == "float" and config.precision != "int8":
        if calibration is not None:
            raise ConfigError("--calibration: the config asks for float arithmetic, which is not calibrated")
        return None
    path = Path(calibration) if calibration is not None else default_config("calibration")
    if config.precision == "int8":
        _check_photographs(path)
    elif not path.exists():
        raise ConfigError(f"{path}: no such file or folder")
    return path


def _check_photographs(path: Path) -> None:
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder")
    if path.suffix == ".npz":
        raise ConfigError(f"{path}: int8 is calibrated on photographs: pass a folder of them with --calibration")


def _int8_layers(deployment: "Deployment", config: ExportConfig, photographs: Path, show: Progress) -> "Int8Layers":
    from elic_export.exact.calibration import crops_of
    from elic_export.int8_layers import choose_int8_layers

    return choose_int8_layers(deployment, config, crops_of(photographs), lambda layers: show(layers, "int8"))


def _deploy(checkpoint: "Checkpoint", photographs: Path | None, show: Progress) -> "Deployment":
    """Prepare a checkpoint for export, in exact arithmetic if there are photographs to calibrate it on."""
    from elic_export.exact.calibration import obtain_calibration
    from elic_export.exact.deployment import deploy_exact, deploy_float

    if photographs is None:
        return deploy_float(checkpoint)
    calibration = obtain_calibration(checkpoint.model, photographs, lambda crops: show(crops, "calibrate"))
    return deploy_exact(checkpoint, calibration)
