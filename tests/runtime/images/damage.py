"""What decoders make of damaged files."""

import numpy as np
from elic_runtime import ImageError
from elic_runtime.images import decode_photograph


def survives_damage(data, count=300, first=0, until=None):
    """Changed and cut bytes give a picture, or an ImageError of one line, never anything else."""
    rng = np.random.default_rng(1)
    messages = []
    for _ in range(count):
        broken = bytearray(data)
        for at in rng.integers(first, until or len(data), 3):
            broken[at] = rng.integers(0, 256)
        try:
            decode_photograph(bytes(broken)[: rng.integers(1, 2 * len(data))], "a")
        except ImageError as error:
            messages.append(str(error))
    return messages and not any("\n" in message for message in messages)
