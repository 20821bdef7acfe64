"""Prove on emulated processors that files cross between machines: `make test-arm` and `make test-x86`.

A bundle of the embedded checkpoint, 128x128, is checked on each emulated processor by device_check.py, which writes a
file there and decodes this machine's; then this machine decodes what was written. All symbols must be equal.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import skimage
from arm_userland import Userland, build_arm_userland, build_qemu
from build_wheels import TARGETS, build_wheel
from elic_runtime.images import read_image, write_image

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "build/static-128x128"
DEVICE_CHECK = Path(__file__).with_name("device_check.py")
HERE = "this machine"
Facts = dict[str, Any]


def main(which: str, folder: Path) -> None:
    """Run the check on the processors of `which`, and compare. Exits with 1 if a symbol differs."""
    if not (BUNDLE / "manifest.json").exists():
        command = [sys.executable, "-m", "elic_export", "static", "--shape", "128x128", "--out", str(BUNDLE)]
        subprocess.run(command, check=True)
    files = folder / which
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    photograph = files / "photograph.png"
    write_image(photograph, read_image(Path(skimage.__file__).parent / "data/chelsea.png")[60:188, 100:228])
    machines = {HERE: Userland((sys.executable,), {})} | {"arm": arm, "x86": x86}[which](folder)
    facts = {name: check(machine, photograph, files, name) for name, machine in machines.items()}
    again = check(machines[HERE], photograph, files, HERE)
    report(facts, again)


def arm(folder: Path) -> dict[str, Userland]:
    """Return emulated aarch64 machines with this project's wheel: one of ARMv8.0, one with all that qemu emulates."""
    platform = "manylinux_2_17_aarch64"
    shutil.rmtree(folder / "wheel", ignore_errors=True)
    compiler = f"{sys.executable} -m ziglang cc -target {TARGETS[platform]}"
    wheel = build_wheel(folder / "wheel", ELIC_RANS_CC=compiler, ELIC_RANS_PLATFORM=platform)
    return {cpu: build_arm_userland(folder, wheel, cpu) for cpu in ("cortex-a72", "max")}


def x86(folder: Path) -> dict[str, Userland]:
    """Return this machine's Python on an emulated Haswell (AVX2) and Nehalem (SSE4.2)."""
    qemu = str(build_qemu(folder) / "qemu-x86_64-static")
    # numpy's OpenBLAS takes qemu's Nehalem for a processor with AVX unless it is told.
    return {
        cpu: Userland((qemu, "-cpu", cpu, sys.executable), {"OPENBLAS_CORETYPE": cpu}) for cpu in ("Haswell", "Nehalem")
    }


def check(machine: Userland, photograph: Path, files: Path, name: str) -> Facts:
    """Run device_check.py on a machine, and return what it prints."""
    command = [*machine.command, str(DEVICE_CHECK), str(BUNDLE), str(photograph), str(files), name]
    environment = os.environ | machine.variables
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr.strip()}")
    facts: Facts = json.loads(done.stdout.splitlines()[-1])
    times = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in facts["seconds"].items())
    print(f"{name} ({facts['machine']}, entropy coder in {facts['coder']}): {times}", flush=True)
    return facts


def report(facts: dict[str, Facts], again: Facts) -> None:
    """Compare what each machine decoded with what this machine decodes of the same files, once all are written."""
    differing = 0
    for name, found in facts.items():
        for file, decoded in found["decoded"].items():
            equal = decoded == again["decoded"][file]
            differing += not equal
            print(f"{file} decoded by {name}: {decoded['symbols']} symbols, {'equal' if equal else 'DIFFERENT'}")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main(sys.argv[1], ROOT / "build/emulated")
