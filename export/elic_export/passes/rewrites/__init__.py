"""Rewrites by name. To add one: its file here, and its line in `REWRITES`.

Masks of checkerboard convolutions are always folded into their weights: see `graphs/packed.py`.
"""

from collections.abc import Iterable

from elic_export.passes.rewrites.depth_to_space import DeconvToDepthToSpace
from elic_export.passes.rewrites.merge_analysis import MergeAnalysis
from elic_export.passes.rewrites.output_padding import FoldOutputPadding
from elic_export.passes.rewrites.protocol import Rewrite
from elic_export.passes.rewrites.split_synthesis import SplitSynthesis

REWRITES: dict[str, Rewrite] = {
    rewrite.name: rewrite
    for rewrite in (
        MergeAnalysis(),
        SplitSynthesis(),
        DeconvToDepthToSpace(),
        FoldOutputPadding(),
    )
}


def added_subgraphs(names: Iterable[str] = REWRITES) -> frozenset[str]:
    """The subgraphs that these rewrites add, all rewrites if none are named."""
    return frozenset().union(*(REWRITES[name].adds for name in names))


__all__ = ["REWRITES", "Rewrite", "added_subgraphs"]
