"""Peak memory of this process, as its operating system counts it."""

import re
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
"""Where Linux says it."""

_MIB = 1 << 20
_KIB = 1 << 10


def peak_mb() -> float | None:
    """Peak resident memory in MiB; None where the system does not say it, as Windows does not without a library."""
    if STATUS.is_file():
        # Not ru_maxrss, which on Linux begins at the parent's peak.
        found = re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * _KIB / _MIB
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else _KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB
