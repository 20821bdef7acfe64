"""The processor that this runs on, as reports name it."""

import os
import platform
from pathlib import Path

_SETS = (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("avx", "AVX"), ("sse4_2", "SSE4.2"), ("asimd", "NEON"))
"""Instruction sets, the widest first, by the flag that Linux lists."""


def processor() -> str:
    """Return the machine and the widest instruction set, such as `x86_64 with AVX2`; only Linux tells the latter."""
    machine = platform.machine()
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return machine
    widest = next((name for flag, name in _SETS if flag in flags), None)
    return f"{machine} with {widest}" if widest else machine


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
