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


def stand_in(tools, tmp_path):
    """Put programs of these names into a folder. They note their arguments, and write the file that they are told to.

    Returns the folder, and the path of the notes.
    """
    notes, folder = tmp_path / "notes", tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    for tool in tools:
        (folder / tool).write_text(
            f'#!/bin/sh\nprintf "%s\\037" {tool} "$@" >> "{notes}"; echo >> "{notes}"; pwd > "{notes}.pwd"\n'
            'for argument; do case "$last" in -o|--MNNModel) : > "$argument";; esac; last=$argument; done\n'
        )
        (folder / tool).chmod(0o755)
    return folder, notes


def noted(notes):
    """[tool, *arguments] of each call."""
    return [line.split("\x1f")[:-1] for line in notes.read_text().splitlines()]


def run_script(folder, script, tools, tmp_path, **environment):
    """Run it from elsewhere with tools that note their arguments. Returns [tool, *arguments] of each call."""
    path = folder / TARGETS_NAME / script
    programs, notes = stand_in(tools, tmp_path)
    assert path.stat().st_mode & 0o111
    done = subprocess.run(
        [path],
        cwd=tmp_path,
        env={"PATH": f"{programs}:/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert Path(Path(f"{notes}.pwd").read_text().strip()) == path.parent.resolve()
    return noted(notes)


def run_beside(folder, script, tools, tmp_path, monkeypatch, *arguments):
    """Run a Python script whose tools are beside the interpreter; returns [tool, *arguments] of each call."""
    programs, notes = stand_in(tools, tmp_path)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    run_main(load_script(folder, script), monkeypatch, *arguments)
    return noted(notes)


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
