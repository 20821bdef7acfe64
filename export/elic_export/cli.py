"""The `elic-export` command: export checkpoints as bundles, and compare bundles with PyTorch."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from elic_runtime.commands.console import (
    BAD_INPUT,
    CHECK_FAILED,
    console,
    fail,
    note,
    one_line_errors,
    print_json,
    print_version,
    progress,
    run_app,
)
from elic_runtime.entries import GraphPrecision
from elic_runtime.errors import ElicError
from elic_runtime.windows import DEFAULT_HALO, MAX_HALO

from elic_export.errors import ConfigError, ExportError

if TYPE_CHECKING:
    from elic_export.config import Form

DEFAULT_CONFIGS: dict["Form", str] = {
    "static": "static-512x512.yaml",
    "dynamic": "dynamic-64x64-1280x1280.yaml",
    "no-entropy": "no-entropy-512x512.yaml",
}
"""Files of `deploy_configs/`, by form."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Export a trained ELIC from a PyTorch checkpoint to ONNX graphs, and compare the graphs with PyTorch.\n\n"
    "Exit codes: 0 for success, 1 if a check fails, 2 for bad usage or input.",
)


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options of the command itself; `--help` shows the text of the app instead of this one."""


CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", help="Trained ELIC, a file of safetensors or torch.save.", show_default="the embedded one"
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", help="Network to read if the checkpoint holds several, such as params_ema or ema.model."),
]
VariantOption = Annotated[
    str | None,
    typer.Option("--variant", help="Which ELIC the checkpoint must be.", show_default="recognized by its tensors"),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        help="For exact arithmetic: folder of photographs like those to be coded, or another bundle's calibration.npz.",
        show_default="deploy_configs/calibration",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder of the bundle.",
        show_default="a folder in build/, named after the config, --shape, --checkpoint and --key",
    ),
]
ShapeOption = Annotated[
    str | None,
    typer.Option("--shape", metavar="HEIGHTxWIDTH", help="Image size that replaces the config's: multiples of 64."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Export even if nothing has changed.")]


def _config_option(form: "Form") -> Any:
    default = f"deploy_configs/{DEFAULT_CONFIGS[form]}"
    return typer.Option("--config", help="YAML file that says what to export.", show_default=default)


@app.command()
@one_line_errors(ElicError, ExportError, ModuleNotFoundError)
def static(
    config: Annotated[Path | None, _config_option("static")] = None,
    checkpoint: CheckpointOption = None,
    key: KeyOption = None,
    variant: VariantOption = None,
    out: OutOption = None,
    shape: ShapeOption = None,
    calibration: CalibrationOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Export every subgraph for one image size.

    An earlier bundle in the folder is replaced once the new one is complete, and kept if nothing has changed.
    """
    _export("static", config, checkpoint, key, variant, out, shape, calibration, force, as_json)


@app.command()
@one_line_errors(ElicError, ExportError, ModuleNotFoundError)
def dynamic(
    config: Annotated[Path | None, _config_option("dynamic")] = None,
    checkpoint: CheckpointOption = None,
    key: KeyOption = None,
    variant: VariantOption = None,
    out: OutOption = None,
    calibration: CalibrationOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Export every subgraph for a range of image sizes.

    An earlier bundle in the folder is replaced once the new one is complete, and kept if nothing has changed.
    """
    _export("dynamic", config, checkpoint, key, variant, out, None, calibration, force, as_json)


@app.command("no-entropy")
@one_line_errors(ElicError, ExportError, ModuleNotFoundError)
def no_entropy(
    config: Annotated[Path | None, _config_option("no-entropy")] = None,
    checkpoint: CheckpointOption = None,
    key: KeyOption = None,
    variant: VariantOption = None,
    out: OutOption = None,
    shape: ShapeOption = None,
    calibration: CalibrationOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Export the whole codec as one graph, from input to x_hat and likelihoods, that rounds instead of coding.

    An earlier bundle in the folder is replaced once the new one is complete, and kept if nothing has changed.
    """
    _export("no-entropy", config, checkpoint, key, variant, out, shape, calibration, force, as_json)


@app.command()
@one_line_errors(ElicError, ExportError)
def shapes(
    size: Annotated[str, typer.Argument(metavar="HEIGHTxWIDTH", help="Size of a photograph in pixels.")],
    halo: Annotated[
        int, typer.Option(min=1, max=MAX_HALO, help="Overlap of windows, as elic compress takes it.")
    ] = DEFAULT_HALO,
    as_json: JsonOption = False,
) -> None:
    """Say what a photograph of a size costs in static bundles of several shapes."""
    from dataclasses import asdict

    from elic_export.shape_costs import shape_costs

    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size)
    if found is None:
        raise ConfigError(f"{size}: a size is height x width in pixels, such as 4000x6000")
    costs = shape_costs(int(found[1]), int(found[2]), halo)
    if as_json:
        print_json([asdict(cost) for cost in costs])
        return
    print("shape      windows  times the pixels")
    for cost in costs:
        print(f"{f'{cost.height}x{cost.width}':9}  {cost.windows:7}  {cost.computed:16.2f}")


@app.command()
@one_line_errors(ElicError, ExportError, ModuleNotFoundError)
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Trained ELIC, a file of torch.save or safetensors.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    key: KeyOption = None,
    variant: VariantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a checkpoint to safetensors, after checking that it is a complete ELIC."""
    from elic_models import CheckpointError, convert_checkpoint

    try:
        spec = convert_checkpoint(source, target, variant, key).model.spec
    except CheckpointError as error:
        raise ExportError(str(error)) from None
    if as_json:
        print_json({"output": str(target), "variant": spec.variant, "N": spec.N, "M": spec.M, "groups": spec.groups})
    else:
        print(f"{target}: {spec.variant} ELIC, N {spec.N}, M {spec.M}, slices {', '.join(map(str, spec.groups))}")


@app.command()
@one_line_errors(ElicError, ExportError, ModuleNotFoundError)
def parity(
    bundle: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the exported bundle.")],
    images: Annotated[Path, typer.Option("--images", help="Photograph, or folder of photographs.")],
    checkpoint: CheckpointOption = None,
    key: KeyOption = None,
    variant: VariantOption = None,
    thresholds: Annotated[
        Path | None,
        typer.Option(
            "--thresholds",
            help="YAML file of the largest accepted errors.",
            show_default="deploy_configs/thresholds.yaml",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a bundle with PyTorch: graphs, passes, streams and pictures.

    Writes parity.json and parity.html into the bundle. The exit code is 1 if a comparison fails.
    """
    from elic_export.api import measure_parity
    from elic_export.parity.render import print_report, write_report

    report = measure_parity(
        bundle,
        images,
        checkpoint=checkpoint,
        key=key,
        variant=variant,
        thresholds=thresholds,
        progress=progress,
    )
    write_report(report, bundle)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        print_report(report, console())
    if not report.passed:
        fail(f"parity fails: {', '.join(f.question for f in report.findings if not f.passed)}")
        raise typer.Exit(CHECK_FAILED)


@app.command("compile")
@one_line_errors(ElicError, ExportError, ModuleNotFoundError)
def compile_(
    bundle: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the exported bundle.")],
    target: Annotated[
        list[str],
        typer.Option("--target", help="mnn, openvino, iree, rknn, qnn, or all that are installed. Repeat it for more."),
    ],
    checkpoint: CheckpointOption = None,
    key: KeyOption = None,
    variant: VariantOption = None,
    platform: Annotated[
        str | None, typer.Option(help="What to compile for, such as rk3588 or cuda.", show_default="the tool's first")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Precision of the result.", show_default="the tool's first")
    ] = None,
    rewrite: Annotated[
        list[str] | None,
        typer.Option("--rewrite", help="Rewrite of the graphs, or none.", show_default="those that suit the tool"),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds per graph after which a compiler is killed.")] = 1800,
    threads: Annotated[int, typer.Option(min=0, max=256, help="Threads to verify with; 0 for one per core.")] = 0,
    calibration: Annotated[
        Path | None,
        typer.Option(help="For int8: photograph or folder of them.", show_default="deploy_configs/calibration"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compile the transforms with a vendor's tool, and verify what it made beside ONNX Runtime.

    Binaries, log and results are written into DIR/targets. `elic compress --runner` then runs them. The subgraphs that
    decide symbols stay in ONNX Runtime. The exit code is 1 if a result is not accepted.
    """
    from elic_export.api import compile_bundle
    from elic_export.compiling.render import compiled_facts, print_compiled, write_pages
    from elic_export.compiling.settings import CompileSettings
    from elic_export.compiling.toolchain import NotInstalledError
    from elic_export.targets.registry import compilable

    every = target == ["all"]
    settings = CompileSettings(platform, _precision(precision), _rewrites(rewrite), timeout, threads)
    names = compilable() if every else target
    done, failed, rejected = [], False, False
    for name, result in zip(
        names,
        compile_bundle(
            bundle,
            names,
            checkpoint=checkpoint,
            key=key,
            variant=variant,
            settings=settings,
            calibration=calibration,
            progress=progress,
        ),
        strict=True,
    ):
        if isinstance(result, NotInstalledError) and every:
            note(str(result))
        elif isinstance(result, ExportError):
            failed = True
            fail(str(result))
        else:
            done.append(result)
            write_pages(bundle)
            if not as_json:
                print_compiled(result, console())
            if result.target.passed is False:
                rejected = True
                fail(f"{name}: {', '.join(result.rejected)}: not accepted")
    if as_json:
        print_json([compiled_facts(result) for result in done])
    if failed or rejected:
        raise typer.Exit(BAD_INPUT if failed else CHECK_FAILED)


@app.command()
@one_line_errors(ElicError, ExportError, ModuleNotFoundError)
def bench(
    bundle: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the exported bundle.")],
    image: Annotated[Path, typer.Option("--image", help="Photograph to code, ideally of the bundle's own size.")],
    checkpoint: CheckpointOption = None,
    key: KeyOption = None,
    variant: VariantOption = None,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads that each side computes with.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Timed runs of each side. The sides take turns.")] = 5,
    against: Annotated[
        Path | None, typer.Option(help="Another bundle, to compare the time of h_s and the context subgraphs with.")
    ] = None,
    runner: Annotated[str, typer.Option(help="What runs the bundle, such as mnn or auto.")] = "onnxruntime",
    as_json: JsonOption = False,
) -> None:
    """Time the bundle against PyTorch: compress, decompress, where the time goes, and peak memory."""
    from elic_export.api import checkpoint_path
    from elic_export.benchmark import run_benchmark
    from elic_export.benchmark_table import print_benchmark

    result = run_benchmark(bundle, checkpoint_path(checkpoint), image, threads, rounds, against, key, variant, runner)
    if as_json:
        print_json(result)
    else:
        print_benchmark(result, console())


def main() -> None:
    """Run the command."""
    run_app(app)


def _export(
    form: "Form",
    config: Path | None,
    checkpoint: Path | None,
    key: str | None,
    variant: str | None,
    out: Path | None,
    shape: str | None,
    calibration: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    from elic_runtime.commands.info import bundle_facts

    from elic_export.api import export_or_reuse
    from elic_export.config import bundle_name, read_config, with_shape
    from elic_export.yaml_file import default_config

    named = config or default_config(DEFAULT_CONFIGS[form])
    written = chosen = read_config(named, form)
    if shape is not None:
        chosen = with_shape(written, *_parse_shape(shape))
    folder = out or Path("build") / bundle_name(named, written.shape, chosen.shape, checkpoint, key)
    exported = export_or_reuse(
        chosen,
        checkpoint,
        folder,
        calibration=calibration,
        key=key,
        variant=variant,
        force=force,
        progress=progress,
    )
    if exported.stale:
        note(f"what {', '.join(exported.stale)} made of the earlier export was removed: compile {folder} again")
    done, facts = exported.reused, bundle_facts(folder)
    if as_json:
        print_json(facts | {"up_to_date": done})
    else:
        count, size = len(facts["subgraphs"]), sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6
        graphs = "1 graph" if count == 1 else f"{count} subgraphs"
        state = ", up to date" if done else ""
        print(f"{folder}: {graphs}, {form} {chosen.shape}, opset {chosen.opset}, {size:.0f} MB{state}")
        print(f"look at it with: elic info {folder}")


def _precision(text: str | None) -> Any:
    known = get_args(GraphPrecision)
    if text is not None and text not in known:
        raise ConfigError(f"--precision {text}: it is one of {', '.join(known)}")
    return text


def _rewrites(names: list[str] | None) -> tuple[str, ...] | None:
    """Return the named rewrites, or None for those that suit the tool. `none` stands for no rewrite."""
    from elic_export.passes.rewrites import REWRITES

    if names is None:
        return None
    chosen = tuple(name for name in names if name != "none")
    unknown = [name for name in chosen if name not in REWRITES or REWRITES[name].adds]
    if unknown:
        known = ", ".join(name for name, rewrite in REWRITES.items() if not rewrite.adds)
        raise ConfigError(f"--rewrite {unknown[0]}: it is one of {known}, or none")
    return chosen


def _parse_shape(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if not found:
        raise ConfigError(f"--shape {text}: expected HEIGHTxWIDTH, such as 512x768")
    return int(found[1]), int(found[2])
