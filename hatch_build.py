"""Compile the entropy coder, rans.c, when a wheel or an editable install of the package is built.

Where no C compiler is found, or ELIC_RANS_CC is empty, the wheel is one of pure Python, and the coder in Python runs.

ELIC_RANS_CC        the compiler's command, instead of $CC, cc, gcc or clang; it may be a cross compiler
ELIC_RANS_PLATFORM  the platform that it compiles for, as in wheels' names: manylinux_2_17_aarch64, win_amd64, ...
"""

import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "runtime/elic_runtime/coder"
FLAGS = ("-std=c99", "-O2", "-shared", "-fvisibility=hidden")


class CompileCoder(BuildHookInterface[Any]):
    """Compiles rans.c, beside its source for an editable install, and tells the wheel that it holds the result."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless there is no compiler."""
        source = Path(self.root) / FOLDER
        platform = os.environ.get("ELIC_RANS_PLATFORM") or sysconfig.get_platform().replace("-", "_").replace(".", "_")
        self._folder = None if version == "editable" else Path(mkdtemp())
        library = (self._folder or source) / library_name(platform)
        library.unlink(missing_ok=True)
        problem = compile_coder(source / "rans.c", library, platform)
        if problem:
            if os.environ.get("ELIC_RANS_CC") == "":
                return  # pure Python is what was asked for
            self.app.display_warning(f"entropy coding will run in Python, slowly: {problem}")
            return
        if self._folder:
            build_data["force_include"][str(library)] = f"elic_runtime/coder/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was compiled once the wheel holds it."""
        if self._folder:
            shutil.rmtree(self._folder)


def compile_coder(source: Path, library: Path, platform: str) -> str | None:
    """Compile the coder. Returns why there is no library, or None. Raises RuntimeError if ELIC_RANS_CC fails."""
    compiler = _find_compiler()
    if compiler is None:
        return "no C compiler was found"
    position = () if platform.startswith("win") else ("-fPIC",)
    command = [*compiler, *FLAGS, *position, "-o", str(library), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the user's compiler
    if done.returncode == 0:
        return None
    library.unlink(missing_ok=True)
    problem = f"{shlex.join(command)} failed: {done.stderr}"
    if "ELIC_RANS_CC" in os.environ:
        raise RuntimeError(problem)
    return problem


def library_name(platform: str) -> str:
    """Return the name of the compiled coder, which native.py looks for."""
    return "_rans" + {"win": ".dll", "macosx": ".dylib"}.get(platform.partition("_")[0], ".so")


def _find_compiler() -> list[str] | None:
    given = os.environ.get("ELIC_RANS_CC")
    if given is not None:
        return shlex.split(given) or None
    for command in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if command and shutil.which(shlex.split(command)[0]):
            return shlex.split(command)
    return None
