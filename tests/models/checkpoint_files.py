"""Small seeded checkpoints, under any layout's keys, and files of them."""

import seeded
import torch
from elic_models import ELIC, ModelSpec
from elic_models.checkpoints.keys import checkpoint_keys
from safetensors.torch import save_file

SMALL = (16, 24, (4, 8, 12))
"""N, M and the groups of a network that loads in no time."""


def content(variant, widths=SMALL, layout=None, salt=""):
    """A checkpoint's parameters, seeded, under its own layout's keys."""
    N, M, groups = widths
    spec = ModelSpec(N, M, groups, variant)
    with torch.device("meta"):
        parameters = dict(ELIC(spec).named_parameters())
    return seeded.tensors({checkpoint_keys(name, spec, layout)[0]: p.shape for name, p in parameters.items()}, salt)


def saved(folder, tensors, name="model.safetensors", **options):
    path = folder / name
    save_file(tensors, path) if name.endswith(".safetensors") else torch.save(tensors, path, **options)
    return path
