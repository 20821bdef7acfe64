"""Facts about a file or a bundle, for `elic info`."""

from pathlib import Path
from typing import Any

from elic_runtime.bundle import Bundle
from elic_runtime.container import parse
from elic_runtime.errors import ContainerError, FormatError
from elic_runtime.manifest import SubgraphInfo, TensorInfo


def container_facts(path: Path) -> dict[str, Any]:
    """What an `.elic` file says of itself; every byte is checked. Raises ContainerError, OSError."""
    data = path.read_bytes()
    try:
        container = parse(data)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except ContainerError as error:
        raise type(error)(f"{path}: {error}") from None
    grid = container.grid
    pixels = grid.width * grid.height
    z = sum(tile.z.size for tile in container.tiles)
    slices = [sum(tile.slices[k].size for tile in container.tiles) for k in range(len(container.tiles[0].slices))]
    return {
        "file": str(path),
        "image": f"{grid.width}x{grid.height} (width x height)",
        "bytes": len(data),
        "bpp": round(8 * len(data) / pixels, 4),
        "tiles": f"{grid.rows} x {grid.columns} of {grid.tile_height}x{grid.tile_width} (height x width)",
        "coder": container.coder,
        "arithmetic": container.arithmetic,
        "fingerprint": container.fingerprint.hex(),
        "checksums": "all good",
        "sections": [
            {"section": name, "bytes": size, "share": f"{100 * size / len(data):.1f} %"}
            for name, size in [
                ("header and indexes", len(data) - z - sum(slices)),
                ("z", z),
                *((f"slice {k}", size) for k, size in enumerate(slices)),
            ]
        ],
    }


def bundle_facts(folder: Path) -> dict[str, Any]:
    """What a bundle's manifest says, and which of its files are here and unchanged. Raises BundleError."""
    bundle = Bundle(folder)
    manifest = bundle.manifest
    model = manifest.model
    return {
        "bundle": str(folder),
        "producer": manifest.producer,
        "model": f"ELIC {model.variant}, N {model.N}, M {model.M}, slices {', '.join(map(str, model.groups))}",
        "checkpoint": f"{manifest.checkpoint.name} (sha256 {manifest.checkpoint.sha256[:12]})",
        "form": f"{manifest.form} {manifest.shape} (height x width)",
        "opset": manifest.opset,
        "rewrites": ", ".join(manifest.rewrites) or "none",
        "precision": manifest.precision,
        "arithmetic": manifest.arithmetic,
        "fingerprint": manifest.fingerprint,
        "subgraphs": [_subgraph_facts(bundle, name, info) for name, info in manifest.subgraphs.items()],
    }


def _subgraph_facts(bundle: Bundle, name: str, info: SubgraphInfo) -> dict[str, str]:
    size = f"{bundle.graph_path(name).stat().st_size / 1e6:.1f}" if bundle.has(name) else "absent"
    return {
        "subgraph": name,
        "MB": size,
        "inputs": _tensor_facts(info.inputs),
        "outputs": _tensor_facts(info.outputs),
    }


def _tensor_facts(tensors: tuple[TensorInfo, ...]) -> str:
    """One a line: x 1x3x512x512"""
    return "\n".join(f"{t.name} {'x'.join(map(str, t.shape))}" for t in tensors)
