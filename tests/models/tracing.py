"""What one run of our network went through, pass by pass."""

import torch
from elic_models.checkerboard import pack


def trace(model, x):
    """y, z, y_hat and x_hat of an image, and a list of what each pass is coded with.

    A pass is a dict of means, scales (below their bound where the network says so),
    symbols and indexes, each [B, C, H/16, W/32].
    """
    y = model.g_a(x)
    z = model.h_a(y)
    z_hat, _ = model.entropy_bottleneck(z, training=False)
    y_slices = y.split(model.spec.groups, dim=1)
    passes = []

    def code(k, half, means, scales):
        symbols = torch.round(pack(y_slices[k], model.parity(half)) - means)
        indexes = model.gaussian_conditional.build_indexes(scales)
        passes.append({"means": means, "scales": scales, "symbols": symbols.int(), "indexes": indexes})
        return symbols + means

    y_hat = model.code_passes(*model.latent_parameters(z_hat), code)
    return {"y": y, "z": z, "y_hat": y_hat, "x_hat": model.g_s(y_hat)}, passes


def assert_not_trivial(passes):
    """Most symbols of every pass are not zero, and the table is used over a range."""
    for one in passes:
        assert (one["symbols"] != 0).float().mean() > 0.3
    indexes = torch.cat([one["indexes"].flatten() for one in passes])
    assert len(indexes.unique()) > 10


def assert_close(ours, theirs, size=None, tolerance=1e-5):
    """Equal within `tolerance` of the range.

    Measured: one processor's order of summation costs up to 4e-6 of it, against another's.
    size: the largest number that the rounding is of, where clamping has removed it.
    """
    ours, theirs = (torch.as_tensor(t) for t in (ours, theirs))
    assert ours.shape == theirs.shape
    size = theirs.abs().max() if size is None else size
    assert (ours - theirs).abs().max() <= tolerance * size


def flat_strings(coded):
    """Our `compress` strings in coding order, z last: one list of [batch] per stream."""
    y_strings, z_strings = coded["strings"]
    return [batch for passes in y_strings for batch in passes] + [z_strings]
