"""`elic info`: facts about a file or a bundle, as data for JSON and as text."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elic_runtime.bundle import Bundle
from elic_runtime.commands.streams import STREAM, name_of, read_input, write_output
from elic_runtime.entries import Int8Info, SubgraphInfo
from elic_runtime.errors import ContainerError, ElicError
from elic_runtime.file_coding import read_info
from elic_runtime.runners import ENGINES, fastest, installed
from elic_runtime.shapes import DOWNSAMPLING, Batch, Extent

Facts = dict[str, Any]

_GRAPH_SUFFIX = ".svg"


def container_facts(path: Path) -> Facts:
    """Collect the facts of an `.elic` file, after all its bytes were checked.

    Parameters
    ----------
    path : Path
        The file; `-` stands for standard input.

    Raises
    ------
    ContainerError
        If the file is damaged.
    OSError
        If the file cannot be read.

    """
    data, name = read_input(path), name_of(path)
    try:
        info = read_info(data)
    except ContainerError as error:
        raise type(error)(f"{name}: {error}") from None
    grid = info.grid
    return {
        "file": name,
        "width": grid.width,
        "height": grid.height,
        "bytes": info.size,
        "bpp": round(8 * info.size / (grid.width * grid.height), 4),
        "tiles": {"rows": grid.rows, "columns": grid.columns, "height": grid.tile_height, "width": grid.tile_width},
        "computed": round(grid.tiles * grid.tile_height * grid.tile_width / (grid.height * grid.width), 2),
        "step": info.step,
        "arithmetic": info.arithmetic,
        "fingerprint": info.fingerprint,
        "sections": [
            {"section": "header and indexes", "bytes": info.header_bytes},
            *({"section": name.upper(), "bytes": len(value)} for name, value in info.metadata.items()),
            {"section": "z", "bytes": info.z_bytes},
            *({"section": f"slice {k}", "bytes": size} for k, size in enumerate(info.slice_bytes)),
        ],
    }


def print_container(facts: Facts, console: Console) -> None:
    """Print the facts of a file as lines and a table."""
    _print_lines(
        {
            "file": facts["file"],
            "image": f"{facts['width']}x{facts['height']} (width x height)",
            "size": f"{facts['bytes']} bytes, {facts['bpp']} bpp",
            **_latents(facts),
            "step": f"{facts['step']:g}",
            "arithmetic": facts["arithmetic"],
            "fingerprint": facts["fingerprint"],
            "checksums": "all good",
        },
        console,
    )
    table = _table(section="left", bytes="right", share="right")
    for section in facts["sections"]:
        share = 100 * section["bytes"] / facts["bytes"]
        table.add_row(section["section"], str(section["bytes"]), f"{share:.1f} %")
    console.print(table)


def _latents(facts: Facts) -> dict[str, str]:
    """Say whether an image is one latent, or tiles with a latent each."""
    tiles = facts["tiles"]
    size = f"{tiles['height']}x{tiles['width']} (height x width){_padding(facts)}"
    if tiles["rows"] == tiles["columns"] == 1:
        return {"latent": f"one, of {size}"}
    return {"tiles": f"{tiles['rows']} x {tiles['columns']} of {size}, coded on their own"}


def _padding(facts: Facts) -> str:
    """Say how many pixels were computed for each one of the image and, if fewer do, which shape would fit."""
    if facts["computed"] <= 1:
        return ""
    height, width = (-(-facts[side] // DOWNSAMPLING) * DOWNSAMPLING for side in ("height", "width"))
    fewest = height * width / (facts["height"] * facts["width"])
    better = f" ({fewest:.2f} with a bundle that takes {height}x{width})" if facts["computed"] > fewest + 0.005 else ""
    return f", {facts['computed']:.2f} times the image's pixels{better}"


def bundle_facts(folder: Path) -> Facts:
    """Collect the facts of a bundle: its manifest, and the sizes of the files that exist.

    Parameters
    ----------
    folder : Path
        The bundle's folder.

    Raises
    ------
    BundleError
        If the bundle is invalid, or a file of it was changed.

    """
    bundle = Bundle(folder)
    facts: Facts = bundle.manifest.model_dump(mode="json", exclude={"subgraphs", "entropy_tables"})
    bundle.tables()
    subgraphs = [_subgraph_facts(bundle, name, info) for name, info in bundle.manifest.subgraphs.items()]
    compiled = {name: installed(name) if name in ENGINES else False for name in bundle.manifest.compiled}
    return {
        "bundle": str(folder),
        **facts,
        "subgraphs": subgraphs,
        "runners_here": [name for name, found in compiled.items() if found],
        "fastest_runner": fastest(bundle.manifest),
    }


def _subgraph_facts(bundle: Bundle, name: str, info: SubgraphInfo) -> Facts:
    """Collect the facts of a subgraph. `bytes` is None if its file is missing: halves of a bundle ship separately."""
    size = None
    if bundle.has(name):
        size = bundle.graph_path(name).stat().st_size
        size += (bundle.folder / info.external_data.file).stat().st_size if info.external_data else 0
    return {
        "subgraph": name,
        "bytes": size,
        **info.model_dump(mode="json", exclude={"file", "sha256"}, exclude_none=True),
    }


def check_graph(path: Path, target: Path) -> None:
    """Check what a graph is to be drawn of, and where to, before anything is read.

    Parameters
    ----------
    path : Path
        The bundle's folder.
    target : Path
        The file to write; `-` stands for standard output.

    Raises
    ------
    ElicError
        If there is no folder at `path`, or if the file's name ends otherwise than in .svg.

    """
    if not path.is_dir():
        raise ElicError(f"{name_of(path)}: not a folder: --graph draws a bundle")
    if target != STREAM and target.suffix.lower() != _GRAPH_SUFFIX:
        raise ElicError(f"{target}: the graph of a bundle is drawn as SVG: name a file that ends in {_GRAPH_SUFFIX}")


def write_graph(folder: Path, target: Path) -> None:
    """Draw the subgraphs of a bundle to a file, as SVG.

    Parameters
    ----------
    folder : Path
        The bundle's folder.
    target : Path
        The file to write; `-` stands for standard output.

    Raises
    ------
    BundleError
        If the bundle lacks subgraphs that its form needs.
    ElicError
        If Jinja2 is not installed.
    OSError
        If the file cannot be written.

    """
    from elic_runtime.reports.bundle_graph import draw_bundle, file_sizes

    bundle = Bundle(folder)
    write_output(target, f"{draw_bundle(bundle.manifest, file_sizes(bundle))}\n".encode())


def print_bundle(facts: Facts, console: Console) -> None:
    """Print the facts of a bundle as lines and a table."""
    model, checkpoint = facts["model"], facts["checkpoint"]
    slices = ", ".join(map(str, model["groups"]))
    _print_lines(
        {
            "bundle": facts["bundle"],
            "producer": facts["producer"],
            "model": f"ELIC {model['variant']}, N {model['N']}, M {model['M']}, slices {slices}",
            "checkpoint": f"{checkpoint['name']} (sha256 {checkpoint['sha256'][:12]})",
            "form": f"{facts['form']} {_extents(facts)} (height x width)",
            **({} if facts["batch"] == {"min": 1, "max": 1} else {"batch": Batch(**facts["batch"])}),
            "opset": facts["opset"],
            "rewrites": ", ".join(facts["rewrites"]) or "none",
            "precision": facts["precision"],
            **({"in int8": Int8Info.model_validate(facts["int8"])} if facts["int8"] else {}),
            "arithmetic": facts["arithmetic"],
            "fingerprint": facts["fingerprint"],
            **({"runner auto": facts["fastest_runner"]} if facts["compiled"] else {}),
        },
        console,
    )
    table = _table(subgraph="left", MB="right", inputs="left", outputs="left")
    for graph in facts["subgraphs"]:
        size = "absent" if graph["bytes"] is None else f"{graph['bytes'] / 1e6:.1f}"
        table.add_row(escape(graph["subgraph"]), size, _tensors(graph["inputs"]), _tensors(graph["outputs"]))
    console.print(table)
    if facts["compiled"]:
        console.print()
        console.print(_compiled_table(facts))


def _compiled_table(facts: Facts) -> Table:
    """Return a table of the compiled targets: what each is for, its checks, and its speed where it was compiled."""
    table = _table(
        compiled="left", version="left", platform="left", subgraphs="left", checks="left", speed="left", here="left"
    )
    for name, target in facts["compiled"].items():
        speed = "of a simulator" if target["simulated"] else _speed(target["speed"])
        checks = {True: "passed", False: "FAILED", None: "not run"}[target["passed"]]
        here = "installed" if name in facts["runners_here"] else "not installed"
        graphs = ", ".join(target["subgraphs"])
        platform = f"{target['platform']}, {target['precision']}"
        table.add_row(*map(escape, (name, target["version"], platform, graphs, checks, speed, here)))
    return table


def _speed(speed: Facts | None) -> str:
    """Return how many times ONNX Runtime's speed a target had, for all of its subgraphs together."""
    if speed is None:
        return ""
    ratio = sum(speed["onnxruntime_seconds"].values()) / sum(speed["seconds"].values())
    return f"{ratio:.2f} of ONNX Runtime's, on {speed['processor']}"


def _extents(facts: Facts) -> str:
    encoder, decoder = (Extent.model_validate(facts[side]) for side in ("encoder", "decoder"))
    shapes = str(encoder) if encoder == decoder else f"{encoder}, decoder {decoder}"
    return shapes if facts["cpu"] is None else f"{shapes}, on the CPU {Extent.model_validate(facts['cpu'])}"


def _tensors(tensors: list[Facts]) -> str:
    """Format tensors one per line, such as `x 1x3x512x512` or `x 1x3x(512..1280)x(512..1280)`."""
    return "\n".join(escape(f"{t['name']} {_shape(t)}") for t in tensors)


def _shape(tensor: Facts) -> str:
    ends = zip(*(tensor.get(end, tensor["shape"]) for end in ("min_shape", "max_shape")), strict=True)
    return "x".join(str(low) if low == high else f"({low}..{high})" for low, high in ends)


def _print_lines(lines: Facts, console: Console) -> None:
    for name, value in lines.items():
        console.print(f"{name}  {value}", highlight=False, markup=False, soft_wrap=True)


def _table(**columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in columns.items():
        table.add_column(name, justify="right" if justify == "right" else "left")
    return table
