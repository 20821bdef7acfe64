"""Weights that are the same everywhere, made from their names: no file to carry, no training.

What golden vectors were computed with here, the tests compute with again. Amplitudes are
such that y spans about +-10, most symbols are not zero and scales reach over the table.
"""

import re
import zlib

import numpy as np
import torch

SHIFT = 3.0
"""Added to the biases of parameter nets' last layers, so that most scales are above the table's first."""

GAINS = [
    (re.compile(r"^g_a\.(analysis_transform\.)?13\."), 2.5),
    (re.compile(r"h_a\.(reduction\.)?4\."), 4.0),
    (re.compile(r"h_s\.(increase\.)?4\."), 4.0),
    (re.compile(r"(ParamAggregation|fusion|entropy_parameters)\.(\d+\.)?4\."), 1.5),
]
"""Layers whose output is quantized, or coded with, are louder than the rest."""

LAST_OF_PARAMETER_NET = GAINS[-1][0]


def uniform(name, shape, low=-1.0, high=1.0):
    """Values in [low, high) from a name: float64, numpy's PCG64 seeded with the name's CRC."""
    return np.random.default_rng(zlib.crc32(name.encode())).random(shape) * (high - low) + low


def tensor(name, shape, salt=""):
    """One parameter by its key in a checkpoint."""
    return torch.from_numpy(np.ascontiguousarray(_values(name, tuple(shape), salt + name), dtype=np.float32))


def tensors(shapes, salt=""):
    """Parameters by key, for shapes by key."""
    return {name: tensor(name, shape, salt) for name, shape in shapes.items()}


def image(height, width, salt=""):
    """Noise on a coarse pattern, [1, 3, height, width] in 0..1."""
    coarse = uniform(salt + "coarse", (1, 3, height // 16, width // 16), 0, 0.7)
    fine = uniform(salt + "fine", (1, 3, height, width), 0, 0.3)
    return torch.from_numpy((np.kron(coarse, np.ones((16, 16))) + fine).astype(np.float32))


def _values(name, shape, seed):
    if "entropy_bottleneck" in name:
        return _bottleneck(name, shape, seed)
    gain = next((gain for pattern, gain in GAINS if pattern.search(name)), 1.0)
    if name.endswith("bias"):
        shift = SHIFT if LAST_OF_PARAMETER_NET.search(name) else 0.0
        return uniform(seed, shape, -0.2, 0.2) * gain + shift
    assert name.endswith("weight")
    # Of the two channel counts the geometric mean, as names do not tell transposed ones.
    fan = np.sqrt(shape[0] * shape[1]) * shape[2] * shape[3]
    return uniform(seed, shape) * np.sqrt(3 / fan) * gain


def _bottleneck(name, shape, seed):
    """CompressAI's initial values, moved about: any give a distribution; quantiles must increase."""
    if name.endswith("quantiles"):
        middle = uniform(seed, (shape[0], 1, 1), -2, 2)
        below, above = (uniform(seed + side, (shape[0], 1, 1), 4, 12) for side in "-+")
        return np.concatenate((middle - below, middle, middle + above), axis=2)
    kind, layer = re.search(r"(matrices|biases|factors)\.(\d)$", name).groups()
    if kind != "matrices":
        return uniform(seed, shape, -0.5, 0.5)
    widths = (3, 3, 3, 3, 1)
    return np.log(np.expm1(1 / 10**0.2 / widths[int(layer)])) + uniform(seed, shape, -0.3, 0.3)
