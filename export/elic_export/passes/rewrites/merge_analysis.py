"""The rewrite `merge_g_a_h_a`: the encoder's two transforms in one graph besides."""

from elic_export.passes.rewrites.protocol import Rewrite


class MergeAnalysis(Rewrite):
    """Adds the subgraph `g_a_h_a`, which the codec takes if it is there: one call less, and y stays on the device."""

    name = "merge_g_a_h_a"
    adds = frozenset({"g_a_h_a"})
