"""Compile a bundle's transforms with one tool, verify the result, and record it in the manifest.

```
checkpoint ─ graphs with the tool's rewrites ─ the tool's script ─ binaries ─ elic verify ─ targets/TOOL, manifest
```
Everything is made in a folder beside the bundle. The bundle changes at the end, when all of it is there.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elic_runtime.bundle import Bundle
from elic_runtime.commands.verify import VerifyReport
from elic_runtime.entries import CompiledSubgraph, CompiledTarget, Speed, SubgraphInfo, TargetFile
from elic_runtime.files import sha256_file, write_bytes
from elic_runtime.manifest import TARGETS_NAME, Manifest
from elic_runtime.manifest_file import write_manifest
from elic_runtime.runners import ONNXRUNTIME
from pydantic import ValidationError

from elic_export.compiling import toolchain
from elic_export.compiling.graphs import config_of, write_graphs
from elic_export.compiling.settings import CompileSettings
from elic_export.config import ExportConfig
from elic_export.errors import ExportError
from elic_export.exact.calibration import crops_of
from elic_export.exact.deployment import Deployment
from elic_export.int8_layers import Int8Layers, Progress, choose_int8_layers
from elic_export.replacing import PARTIAL, locked
from elic_export.targets.compilation import Compilation
from elic_export.targets.target import Target
from elic_export.targets.write import write_script

LOG_NAME = "compile.log"
FAILED_NAME = "failed.log"
"""The log of the last compilation that failed, if that was the last one."""

REPORT_NAME = "verify.json"

VERIFY_SECONDS = 3600.0
"""Seconds after which the verification of compiled transforms is given up; simulators are slow."""


@dataclass(frozen=True)
class Compiled:
    """The result of compiling with one tool.

    Parameters
    ----------
    tool : str
        Name of the tool.
    target : CompiledTarget
        Its entry in the manifest.
    report : VerifyReport, optional
        What its runner and ONNX Runtime computed; None for a platform that cannot be run here.

    Examples
    --------
    >>> (compiled,) = compile_bundle(bundle, ["openvino"], checkpoint=checkpoint)
    >>> compiled.target.platform, compiled.target.precision, compiled.rejected
    ('cpu', 'fp32', [])

    """

    tool: str
    target: CompiledTarget
    report: VerifyReport | None

    @property
    def rejected(self) -> list[str]:
        """The questions whose answers were not accepted."""
        return [check.question for check in self.report.results[0].checks if not check.passed] if self.report else []


def compile_transforms(
    deployment: Deployment,
    bundle: Bundle,
    target: Target,
    settings: CompileSettings,
    progress: Progress = iter,
) -> Compiled:
    """Compile a bundle's transforms with one tool.

    Parameters
    ----------
    deployment : Deployment
        The checkpoint that the bundle was exported from.
    bundle : Bundle
        The bundle. What the tool made of it earlier is replaced at the end.
    target : Target
        The tool.
    settings : CompileSettings
        How to compile.
    progress : callable, optional
        Shows progress by wrapping the layers that are tried in int8.

    Returns
    -------
    Compiled
        What was made and measured.

    Raises
    ------
    NotInstalledError
        If the tool is not installed.
    ExportError
        If the bundle or a setting does not fit the tool, or the tool fails. Nothing is changed then, but for the log.

    """
    compilation = target.compilation
    if compilation is None:
        raise ExportError(f"{target.tool}: its compiler is not on PyPI: run its files in {TARGETS_NAME}/{target.tool}")
    compiling = _Compiling(target, compilation, bundle, settings)
    with locked(bundle.folder), _beside(bundle.folder) as scratch:
        try:
            return compiling.run(deployment, scratch, progress)
        except ExportError as error:
            raise compiling.failed(error, scratch) from None


class _Compiling:
    def __init__(self, target: Target, compilation: Compilation, bundle: Bundle, settings: CompileSettings) -> None:
        tool, manifest = target.tool, bundle.manifest
        self.target, self.compilation, self.bundle, self.settings = target, compilation, bundle, settings
        self.python = toolchain.find_python(tool, compilation)
        self.platform = _chosen(tool, "platform", settings.platform, compilation.platforms or ("cpu",))
        self.precision = _chosen(tool, "precision", settings.precision, compilation.precisions)
        self.rewrites = compilation.rewrites if settings.rewrites is None else settings.rewrites
        if self.precision == "int8" and settings.photographs is None:
            raise ExportError(
                "int8 needs photographs to choose its layers on: pass a folder of them with --calibration"
            )
        fixed = manifest.encoder.fixed and manifest.decoder.fixed and manifest.batch.fixed
        if not fixed and not compilation.open_shapes:
            raise ExportError(f"{tool} compiles for one shape only: export a static bundle of the shape to deploy")
        self.inner = f"{TARGETS_NAME}/{tool}"

    def run(self, deployment: Deployment, scratch: Path, progress: Progress) -> Compiled:
        source, trial = scratch / "source", scratch / "bundle"
        source.mkdir()
        config = config_of(self.bundle.manifest, self.rewrites)
        int8 = self._int8_layers(deployment, config, progress)
        graphs = write_graphs(deployment, self.bundle.manifest, config, source, int8)
        script = write_script(self.target, self.bundle.manifest.model_copy(update={"subgraphs": graphs}), source)
        _link(self.bundle.folder, trial, leave_out=trial / self.inner)
        out = trial / self.inner
        out.mkdir(parents=True)
        for name in graphs:
            self._compile(name, script, out, scratch / LOG_NAME)
            for suffix in (self.compilation.suffix, *self.compilation.companions):
                if suffix == ".onnx" and suffix != self.compilation.suffix:
                    shutil.copy(source / f"{name}.onnx", out)
                if not (out / f"{name}{suffix}").is_file():
                    raise ExportError(f"{self.target.tool} cannot compile {name}: it wrote no {name}{suffix}")
        shutil.copy(scratch / LOG_NAME, out)
        compiled = self._entry(trial, graphs, int8)
        _record(trial, self.bundle.manifest, self.target.tool, compiled)
        report = self._verify(trial, scratch) if self.platform in self._runnable else None
        if report is not None:
            write_bytes(out / REPORT_NAME, f"{report.model_dump_json(indent=1)}\n".encode())
            compiled = compiled.model_copy(
                update={
                    "report": _file(trial, f"{self.inner}/{REPORT_NAME}"),
                    "passed": report.passed,
                    "speed": _speed(report),
                }
            )
        self._install(out, compiled)
        return Compiled(self.target.tool, compiled, report)

    def failed(self, error: ExportError, scratch: Path) -> ExportError:
        """Keep the log in the bundle, and return the error with advice, and with the path of the log."""
        log = scratch / LOG_NAME
        if not log.is_file():
            return error
        error = toolchain.explain(error, self.target, log)
        text = str(error).replace(f"{scratch / 'bundle'}", f"{self.bundle.folder}").replace(f"{scratch}{os.sep}", "")
        kept = self.bundle.folder / self.inner / FAILED_NAME
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, kept)
        return ExportError(f"{text} (log: {kept})")

    @property
    def _runnable(self) -> tuple[str, ...]:
        return self.compilation.runnable or (self.compilation.platforms or ("cpu",))[:1]

    def _compile(self, name: str, script: Path, out: Path, log: Path) -> None:
        command: list[str | Path] = [self.python, script, name, "--out", out]
        if self.compilation.platforms:
            command += ["--platform", self.platform]
        if len(self.compilation.stored) > 1 and self.precision in self.compilation.stored:
            command += ["--precision", self.precision]
        toolchain.run(command, log, self.settings.timeout, f"{self.target.tool} cannot compile {name}")

    def _int8_layers(self, deployment: Deployment, config: ExportConfig, progress: Progress) -> Int8Layers | None:
        if self.precision != "int8" or self.settings.photographs is None:
            return None
        return choose_int8_layers(deployment, config, crops_of(self.settings.photographs), progress)

    def _entry(self, trial: Path, graphs: dict[str, SubgraphInfo], int8: Int8Layers | None) -> CompiledTarget:
        suffixes = (self.compilation.suffix, *self.compilation.companions)
        return CompiledTarget(
            version=toolchain.version_of(self.python, self.compilation.distribution) or "",
            platform=self.platform,
            precision=self.precision,
            int8=int8.info if int8 else None,
            rewrites=self.rewrites,
            simulated=self.compilation.simulated,
            subgraphs={
                name: CompiledSubgraph(
                    inputs=info.inputs,
                    outputs=info.outputs,
                    files=tuple(_file(trial, f"{self.inner}/{name}{suffix}") for suffix in suffixes),
                )
                for name, info in graphs.items()
            },
            log=_file(trial, f"{self.inner}/{LOG_NAME}"),
        )

    def _verify(self, trial: Path, scratch: Path) -> VerifyReport:
        """Run `elic verify` in the tool's environment. A failed check is a result, and not an error."""
        record, log, tool = scratch / REPORT_NAME, scratch / LOG_NAME, self.target.tool
        command: list[str | Path] = [self.python, "-m", "elic_runtime", "verify", trial, "--runner", tool]
        command += ["--against", ONNXRUNTIME, "--threads", str(self.settings.threads), "--record", record]
        try:
            toolchain.run(command, log, VERIFY_SECONDS, f"{tool}: what it compiled cannot be run")
        except ExportError:
            if not record.is_file():
                raise
        try:
            return VerifyReport.model_validate_json(record.read_bytes())
        except ValidationError:
            raise ExportError(f"{tool}: {self.python} has another version of elic-deploy: install this one") from None

    def _install(self, out: Path, compiled: CompiledTarget) -> None:
        """Move the files into the bundle, then name them in its manifest, then remove earlier ones that it named."""
        folder, tool = self.bundle.folder, self.target.tool
        earlier = self.bundle.manifest.compiled.get(tool)
        (folder / self.inner).mkdir(parents=True, exist_ok=True)
        for file in compiled.files:
            (out / Path(file.file).name).replace(folder / file.file)
        _record(folder, self.bundle.manifest, tool, compiled)
        (folder / self.inner / FAILED_NAME).unlink(missing_ok=True)
        kept = {file.file for file in compiled.files}
        for file in earlier.files if earlier else ():
            if file.file not in kept:
                (folder / file.file).unlink(missing_ok=True)


def _chosen(tool: str, what: str, wanted: str | None, known: Sequence[Any]) -> Any:
    if wanted is None:
        return known[0]
    if wanted not in known:
        raise ExportError(f"{tool}: it has no {what} {wanted}; it has {', '.join(known)}")
    return wanted


def _file(folder: Path, path: str) -> TargetFile:
    return TargetFile(file=path, sha256=sha256_file(folder / path))


def _record(folder: Path, manifest: Manifest, tool: str, compiled: CompiledTarget) -> None:
    entries = dict(sorted((manifest.compiled | {tool: compiled}).items()))
    write_manifest(folder, Manifest.model_validate(manifest.model_copy(update={"compiled": entries}).model_dump()))


def _speed(report: VerifyReport) -> Speed:
    own, onnxruntime = report.results
    return Speed(
        processor=report.processor,
        threads=report.threads,
        seconds=own.seconds,
        onnxruntime_seconds=onnxruntime.seconds,
    )


def _link(folder: Path, copy: Path, leave_out: Path) -> None:
    """Make a copy of a folder by hard links, so that a bundle of 200 MB is not written again."""

    def link(source: str, destination: str) -> str:
        os.link(source, destination)
        return destination

    shutil.copytree(folder, copy, copy_function=link)
    shutil.rmtree(leave_out, ignore_errors=True)
    # The manifest will be another one.
    (copy / "manifest.json").unlink()


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Give a folder beside a bundle. If this program is killed, the next export or compilation clears it away."""
    folder = folder.resolve()
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=PARTIAL, dir=folder.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
