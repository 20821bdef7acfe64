"""Build the wheels of every platform on this one: `make wheels`.

zig, from PyPI, compiles rans.c for each platform, and auditwheel checks that a Linux wheel keeps what its name says.
One more wheel is of pure Python, for all other platforms.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

TARGETS = {
    "manylinux_2_17_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64": "aarch64-linux-gnu.2.17",
    "musllinux_1_2_x86_64": "x86_64-linux-musl",
    "musllinux_1_2_aarch64": "aarch64-linux-musl",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
    "macosx_10_13_x86_64": "x86_64-macos.10.13",
    "win_amd64": "x86_64-windows-gnu",
}
"""zig's target of each platform, by the platform's name in wheels' names."""


def main(folder: Path) -> None:
    """Build all wheels into a folder, whose earlier wheels are removed."""
    for wheel in folder.glob("*.whl"):
        wheel.unlink()
    for platform, target in TARGETS.items():
        compiler = f"{sys.executable} -m ziglang cc -target {target}"
        wheel = build_wheel(folder, ELIC_RANS_CC=compiler, ELIC_RANS_PLATFORM=platform)
        checked = check_linux_wheel(wheel, platform) if "linux" in platform else ""
        print(f"{wheel.name}  {wheel.stat().st_size / 1e3:.0f} kB{checked}")
    wheel = build_wheel(folder, ELIC_RANS_CC="")
    print(f"{wheel.name}  {wheel.stat().st_size / 1e3:.0f} kB")


def build_wheel(folder: Path, **variables: str) -> Path:
    """Build one wheel, with these variables for hatch_build.py, and return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    before = set(folder.glob("*.whl"))
    subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = set(folder.glob("*.whl")) - before
    return wheel


def check_linux_wheel(wheel: Path, platform: str) -> str:
    """Return the oldest platform that auditwheel grants. Raises SystemExit if it is not the promised one or older."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    granted = re.search(r'platform\s+tag:\s+"(\w+)"', said)
    if granted is None or not _is_older(granted[1], platform):
        sys.exit(f"{wheel.name}: auditwheel says: {' '.join(said.split())}")
    return f"  auditwheel: {granted[1]}"


def _is_older(platform: str, than: str) -> bool:
    (libc, version, machine), (other, limit, wanted) = map(_parts, (platform, than))
    return (libc, machine) == (other, wanted) and version <= limit


def _parts(platform: str) -> tuple[str, tuple[int, int], str]:
    libc, major, minor, machine = platform.split("_", maxsplit=3)
    return libc, (int(major), int(minor)), machine


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist")
