"""The graphs that a compiler gets: a bundle's transforms, traced again with the rewrites that suit the compiler."""

from collections.abc import Sequence
from pathlib import Path

from elic_runtime.entries import SubgraphInfo
from elic_runtime.manifest import Manifest

from elic_export.bundle import declare, write_graph
from elic_export.config import ExportConfig
from elic_export.errors import ExportError
from elic_export.exact.deployment import Deployment
from elic_export.int8_layers import Int8Layers
from elic_export.onnx_file import export_graph

_CUTS = ("g_s_0", "g_s_1")


def transforms_of(manifest: Manifest) -> list[str]:
    """Return the names of the transforms to compile, which are those that the codec runs.

    Parameters
    ----------
    manifest : Manifest
        Manifest of the bundle. If it has g_s in parts, these are compiled, since the export was told to cut it.

    Raises
    ------
    ExportError
        If the bundle is not a codec.

    """
    if manifest.form == "no-entropy":
        raise ExportError("a no-entropy bundle is one graph, which no codec runs: use its scripts in targets/")
    analysis = ["g_a_h_a"] if "g_a_h_a" in manifest.subgraphs else ["g_a", "h_a"]
    synthesis = list(_CUTS) if _CUTS[0] in manifest.subgraphs else ["g_s"]
    return analysis + synthesis


def write_graphs(
    deployment: Deployment, manifest: Manifest, config: ExportConfig, folder: Path, int8: Int8Layers | None
) -> dict[str, SubgraphInfo]:
    """Trace the transforms of a bundle again, and write them as ONNX files.

    Parameters
    ----------
    deployment : Deployment
        The checkpoint that the bundle was exported from.
    manifest : Manifest
        Manifest of the bundle.
    config : ExportConfig
        What `config_of` returned.
    folder : Path
        Where to write the files.
    int8 : Int8Layers, optional
        Layers to convert to int8.

    Returns
    -------
    dict of str to SubgraphInfo
        The graphs by name.

    Raises
    ------
    ExportError
        If a graph cannot be traced or does not compute what PyTorch computes.

    """
    names = transforms_of(manifest)
    found = {}
    for declaration in declare(deployment.model.spec, config):
        parts = _CUTS if declaration.name == "g_s" and _CUTS[0] in names else (declaration.name,)
        if not set(parts) & set(names):
            continue
        extent = config.extent(declaration.subgraph)
        for exported in export_graph(declaration, deployment, config, extent):
            if exported.name in names:
                found[exported.name] = write_graph(exported, folder, config, extent, int8)
    return found


def config_of(manifest: Manifest, rewrites: Sequence[str]) -> ExportConfig:
    """Return the config that traces the transforms of a bundle again.

    Parameters
    ----------
    manifest : Manifest
        Manifest of the bundle, whose shapes, batch, opset, merges and cuts stay.
    rewrites : sequence of str
        Names of the rewrites that suit the compiler.

    """
    names = transforms_of(manifest)
    cut = manifest.subgraphs[_CUTS[0]].cut_after if _CUTS[0] in names else None
    merged = ["merge_g_a_h_a"] if "g_a_h_a" in names else []
    split = ["split_g_s"] if cut else []
    return ExportConfig.model_validate(
        {
            "form": manifest.form,
            "shape": manifest.encoder,
            "batch": manifest.batch,
            "opset": manifest.opset,
            "rewrites": (*merged, *split, *rewrites),
            "arithmetic": "float",
        }
        | ({"decoder_shape": manifest.decoder} if manifest.form == "dynamic" else {})
        | ({"split_g_s_after": cut} if cut else {})
    )
