"""README.md is run: its commands must work, and print what it shows.

Numbers and digests may differ, shapes (512x512) may not: processors round differently.
A line of `...` stands for any lines, and `...` in a line for any text.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"\b[0-9a-f]{16,}\b|(?<![\dx])-?\d+(\.\d+)?(e[-+]\d+)?(?![\dx])")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands():
    """(command, expected output) of every console block, in order."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photos):
    """A checkout after `make demo` began: the configs and the photograph, nothing exported yet."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "build/photos").mkdir(parents=True)
    shutil.copy(photos / "astronaut.png", folder / "build/photos")
    for name in ("deploy_configs", "models"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def matches(expected, found):
    """Whether found is what the README shows, numbers and blanks aside."""

    def pattern(text):
        masked = re.escape(" ".join(NUMBER.sub("#", text).split()))
        # The last one may stand for nothing: what some machines print more of.
        return re.sub(r"\\ \\\.\\\.\\\.$", r"(\ .*)?", masked).replace(re.escape("..."), ".*")

    return re.fullmatch(pattern(expected), " ".join(NUMBER.sub("#", found).split())) is not None


@pytest.mark.slow
def test_every_command_prints_what_is_shown(folder):
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    ran = 0
    for command, expected in commands():
        run = subprocess.run(
            command, shell=True, cwd=folder, capture_output=True, text=True, env={"PATH": path}, check=False
        )
        assert matches(expected, run.stdout + run.stderr), f"$ {command}\n{run.stdout}{run.stderr}"
        assert run.returncode == (2 if expected.startswith("error: ") else 0)
        ran += 1
    assert ran >= 6


@pytest.mark.slow
def test_the_python_examples_run(folder):
    code = "\n".join(blocks("python"))
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_what_it_links_to_is_there():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_make_targets_it_names_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^(?:\S+ )*{target}(?: \S+)*:", makefile, re.MULTILINE), target


def test_the_comparison_tells_different_output():
    assert matches("a 1.5 512x512 b\n...\nend", "a 2 512x512  b\nanything\nend")
    assert matches("a 1.5\n...\n", "a 2")
    assert matches("a 1.5\n...\n", "a 2\nmore")
    assert not matches("a 1.5\n...\n", "a 2more")
    assert not matches("a 1.5 512x512 b", "a 1.5 512x768 b")
    assert not matches("passed", "failed")
