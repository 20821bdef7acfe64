"""`elic info --graph`: a bundle's picture to a file or a pipe, beside the facts; what it cannot draw, it refuses."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from elic_runtime.bundle import Bundle
from elic_runtime.commands.cli import app
from elic_runtime.reports.bundle_graph import draw_bundle, file_sizes
from typer.testing import CliRunner

WITHOUT_JINJA2 = """\
import sys
sys.modules["jinja2"] = None  # as if it were not installed
from elic_runtime.commands.cli import main
main()
"""


def info(*args):
    return CliRunner().invoke(app, ["info", *map(str, args)])


@pytest.fixture
def picture(bundle_path):
    bundle = Bundle(bundle_path)
    return draw_bundle(bundle.manifest, file_sizes(bundle))


def test_a_picture_beside_the_facts(bundle_path, picture, tmp_path):
    out = tmp_path / "new/graphs.svg"
    run = info(bundle_path, "--graph", out, "--json")
    assert run.exit_code == 0, run.output
    assert out.read_text(encoding="utf-8") == f"{picture}\n"
    graphs = {graph["subgraph"]: graph for graph in json.loads(run.stdout)["subgraphs"]}
    # Of an image of the graph's own largest size: h_a runs on the CPU, up to 1024x1024.
    h_a = graphs["h_a"]["multiply_adds"] * 128 * 192 // 1024**2
    assert graphs["g_a_h_a"]["multiply_adds"] == graphs["g_a"]["multiply_adds"] + h_a
    assert graphs["g_a"]["parameters"] > graphs["h_a"]["parameters"] > 0
    texts = [element.text for element in ElementTree.parse(out).iter("{http://www.w3.org/2000/svg}text")]
    assert f"{graphs['g_s']['parameters'] / 1e3:.1f} k parameters, {graphs['g_s']['bytes'] / 1e3:.0f} kB" in texts
    run = info(bundle_path, "--graph", out)
    assert run.exit_code == 0, run.output
    assert "fingerprint" in run.stdout
    assert [path.name for path in out.parent.iterdir()] == ["graphs.svg"]


def test_a_picture_into_a_pipe_is_alone(bundle_path, picture):
    for options in ((), ("--json",)):
        run = info(bundle_path, "--graph", "-", *options)
        assert run.exit_code == 0, run.output
        assert run.stdout == f"{picture}\n"


@pytest.mark.parametrize(
    ("path", "out", "words"),
    [
        ("photograph.elic", "graphs.svg", "photograph.elic: not a folder: --graph draws a bundle"),
        ("-", "graphs.svg", "standard input: not a folder"),
        ("no-bundle", "graphs.svg", "no bundle here"),
        ("bundle", "graphs.png", "graphs.png: the graph of a bundle is drawn as SVG: name a file that ends in .svg"),
        ("bundle", "no-bundle", "no-bundle: the graph of a bundle is drawn as SVG"),
        ("bundle", "photograph.elic/graphs.svg", "photograph.elic"),
    ],
)
def test_what_cannot_be_drawn(bundle_path, tmp_path, monkeypatch, path, out, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photograph.elic").write_bytes(b"ELIC")
    (tmp_path / "no-bundle").mkdir()
    (tmp_path / "bundle").symlink_to(bundle_path)
    before = sorted(tmp_path.rglob("*"))
    run = info(path, "--graph", out)
    assert run.exit_code == 2, run.output
    assert run.stderr.startswith("error: ")
    assert words in run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_without_jinja2_the_extra_is_named(bundle_path, tmp_path):
    command = [sys.executable, "-c", WITHOUT_JINJA2, "info", bundle_path]
    run = subprocess.run([*command, "--graph", tmp_path / "graphs.svg"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert "Jinja2" in run.stderr
    assert "elic-deploy[report]" in run.stderr
    assert run.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
