"""Reads and runs what was written. Compilers are stood in for by a program that notes its arguments."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from elic_runtime.manifest import TARGETS_NAME

KEPT = "Left out: the subgraphs that decide symbols"


def tool_folder(folder, tool):
    return folder / TARGETS_NAME / tool


def readme_of(folder):
    return (folder / TARGETS_NAME / "README.md").read_text(encoding="utf-8")


def section(folder, title):
    """That section of the README."""
    readme = readme_of(folder)
    return re.split(r"^## ", readme[readme.index(f"## {title}\n") + 3 :], flags=re.MULTILINE)[0]


def graph_at(folder, tool, path):
    """The graph that a path in a tool's file leads to."""
    file = (tool_folder(folder, tool) / path).resolve()
    assert file.is_file()
    assert file.parent == folder.resolve()
    return file.stem


def run_script(folder, script, tools, tmp_path, **environment):
    """Run it from elsewhere with tools that note their arguments. Returns [tool, *arguments] of each call."""
    path = folder / TARGETS_NAME / script
    notes = tmp_path / "notes"
    for tool in tools:
        stand_in = tmp_path / "bin" / tool
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(
            f'#!/bin/sh\nprintf "%s\\037" {tool} "$@" >> "{notes}"; echo >> "{notes}"; pwd > "{notes}.pwd"\n'
        )
        stand_in.chmod(0o755)
    assert path.stat().st_mode & 0o111
    done = subprocess.run(
        [path],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert Path(Path(f"{notes}.pwd").read_text().strip()) == path.parent.resolve()
    return [line.split("\x1f")[:-1] for line in notes.read_text().splitlines()]


def options(call):
    """Of `tool --name=value --flag`."""
    return {name: value for name, _, value in (argument.partition("=") for argument in call[1:])}


def load_script(folder, script):
    spec = importlib.util.spec_from_file_location("generated", folder / TARGETS_NAME / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_main(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])
    module.main()
