"""The rewrite `merge_g_a_h_a`: one more graph, with both transforms of the encoder."""

from elic_export.passes.rewrites.protocol import Rewrite


class MergeAnalysis(Rewrite):
    """Adds the subgraph `g_a_h_a`.

    The codec runs it, where it is there, instead of g_a and h_a. That saves a call, and y stays on the device.
    """

    name = "merge_g_a_h_a"
    adds = frozenset({"g_a_h_a"})
