"""The rewrites by name.

To add one, add its file to this package and its line to `REWRITES`; see docs/architecture.md. Folding the masks of
checkerboard convolutions into their weights is not among them, since it is always done; see `graphs/packed.py`.
"""

from collections.abc import Iterable

from elic_export.passes.rewrites.depth_to_space import DeconvToDepthToSpace
from elic_export.passes.rewrites.merge_analysis import MergeAnalysis
from elic_export.passes.rewrites.output_padding import FoldOutputPadding
from elic_export.passes.rewrites.protocol import Rewrite
from elic_export.passes.rewrites.space_to_depth import ConvToSpaceToDepth
from elic_export.passes.rewrites.split_synthesis import SplitSynthesis

REWRITES: dict[str, Rewrite] = {
    rewrite.name: rewrite
    for rewrite in (
        MergeAnalysis(),
        SplitSynthesis(),
        DeconvToDepthToSpace(),
        ConvToSpaceToDepth(),
        FoldOutputPadding(),
    )
}


def added_subgraphs(names: Iterable[str] = REWRITES) -> frozenset[str]:
    """Return the names of the subgraphs that rewrites add to a bundle.

    Parameters
    ----------
    names : iterable of str
        Names of rewrites. The default is all of them.

    """
    return frozenset().union(*(REWRITES[name].adds for name in names))


__all__ = ["REWRITES", "Rewrite", "added_subgraphs"]
