"""Build an aarch64 userland for qemu-user from Debian's and PyPI's packages, without installing anything.

About 140 MB are downloaded: qemu, Python with the libraries that it needs, and the wheels that the runtime declares.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PYTHON = "3.11"
"""Debian 12's Python."""

PACKAGES = ("python3-minimal", f"libpython{PYTHON}-stdlib", "libstdc++6", "libgcc-s1", "libc6")
GLIBCS = ("2_28", "2_27", "2_17")

CPUINFO = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n"
"""What a Cortex-A72 says. ONNX Runtime reads the file, and crashes on that of an x86-64 host."""

APT = """\
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
"""


@dataclass(frozen=True)
class Userland:
    """Where an emulated Python is: the command that begins it, and the variables that it needs."""

    command: tuple[str, ...]
    variables: dict[str, str]


def build_qemu(folder: Path) -> Path:
    """Download qemu-user-static into folder/qemu unless it is there, and return the folder of its programs."""
    programs = folder / "qemu/usr/bin"
    if not programs.is_dir():
        packages = folder / "qemu-package"
        packages.mkdir(parents=True, exist_ok=True)
        _run("apt-get", "download", "--quiet", "qemu-user-static", cwd=packages)
        (package,) = packages.glob("qemu-user-static_*.deb")
        _run("dpkg-deb", "--extract", package, folder / "qemu")
    return programs


def build_arm_userland(folder: Path, wheel: Path, cpu: str) -> Userland:
    """Build the userland in folder/aarch64 unless it is there, and install a wheel of the project in it.

    `cpu` is one of qemu's processors.
    """
    root, site = folder / "aarch64/root", folder / "aarch64/site"
    if not (root / "proc/cpuinfo").exists():
        _extract_debian(folder / "aarch64", root)
    platforms = [f"--platform=manylinux_{glibc}_aarch64" for glibc in GLIBCS] + ["--platform=manylinux2014_aarch64"]
    target = ("--target", site, "--upgrade", f"--python-version={PYTHON}", "--only-binary=:all:")
    constraint = ("--constraint", Path(__file__).parents[1] / "constraints.txt")
    _run(sys.executable, "-m", "pip", "install", "--quiet", *constraint, *target, *platforms, wheel)
    return Userland(
        command=(str(build_qemu(folder) / "qemu-aarch64-static"), "-cpu", cpu, str(root / f"usr/bin/python{PYTHON}")),
        variables={"QEMU_LD_PREFIX": str(root), "PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(site)},
    )


def _extract_debian(folder: Path, root: Path) -> None:
    """Download the packages by an apt configuration of its own, and unpack them."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "state/status").touch()
    (folder / "apt.conf").write_text(APT.format(folder=folder))
    apt = {"env": os.environ | {"APT_CONFIG": str(folder / "apt.conf")}}
    _run("apt-get", "update", "--quiet", **apt)
    _run("apt-get", "install", "--quiet", "--yes", "--download-only", *PACKAGES, **apt)
    for package in sorted((folder / "cache/archives").glob("*.deb")):
        _run("dpkg-deb", "--extract", package, root)
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(CPUINFO)


def _run(*command: str | Path, **options: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
