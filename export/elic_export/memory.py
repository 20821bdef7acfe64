"""Peak memory of this process, as reported by the operating system."""

import re
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
"""Linux reports it in this file."""

_MIB = 1 << 20
_KIB = 1 << 10


def peak_mb() -> float | None:
    """Return the peak resident memory of this process.

    Returns
    -------
    float or None
        In MiB. None where the operating system does not report it to the standard library, as on Windows.

    """
    if STATUS.is_file():
        # Not ru_maxrss: on Linux it starts at the parent process's peak.
        found = re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * _KIB / _MIB
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else _KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB
