"""The pages in `docs/` say what the code does: their code is the code's, their picture is drawn from it, they build."""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import elic_export
import elic_models
import elic_runtime
import elic_runtime.runners
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
SOURCES = ("models", "export", "runtime", "deploy_configs")


def test_the_picture_is_drawn_from_the_table():
    spec = importlib.util.spec_from_file_location("walk", ROOT / "docs/walk.py")
    walk = importlib.util.module_from_spec(spec)
    sys.modules["walk"] = walk
    spec.loader.exec_module(walk)
    assert walk.PICTURE.read_text(encoding="utf-8") == walk.draw(), "run python docs/walk.py"


def test_code_on_the_architecture_page_is_the_codes():
    page = (ROOT / "docs/architecture.md").read_text()
    blocks = re.findall(r"^<!-- (\S+) -->\n```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == page.count("```python") >= 3
    for path, code in blocks:
        assert code in (ROOT / path).read_text(), path


def test_a_runner_of_one_s_own_is_verified_as_the_page_says(bundle_path, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/targets.md").read_text(), re.MULTILINE | re.DOTALL)
    page = {}
    exec(code, page)
    assert page["verified"](bundle_path, elic_runtime.runners.onnxruntime_factory())
    assert "file: symbols that differ, at least 0" in capsys.readouterr().out


def names_of_files(page):
    """Paths that a page names: with a folder in front, or the name of a module of ours."""
    for name in re.findall(r"`([\w./-]+(?:\.py|\.md|\.yaml|\.toml|/))`", page):
        yield name.rstrip("/")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_that_a_page_names_are_there(path):
    ours = [file.relative_to(ROOT).as_posix() for source in SOURCES for file in (ROOT / source).rglob("*")]
    made = {"manifest.json", "targets", "build", "state_dict"}
    for name in names_of_files(path.read_text()):
        there = (ROOT / name).exists() or any(file.endswith(f"/{name}") for file in ours)
        assert there or name.split("/")[0] in made, f"{path.name}: {name}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built where nothing can be reached."""
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    run = subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | nowhere | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder


def test_the_site_needs_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img)[^>]+src="([^"]+)"|<link rel="stylesheet" href="([^"]+)"', text)
        assert not [url for pair in loaded for url in pair if url.startswith(("http", "//"))], page


@pytest.mark.parametrize(
    ("package", "page"), [(elic_runtime, "runtime"), (elic_export, "exporter"), (elic_models, "models")]
)
def test_every_public_name_is_on_the_site(site, package, page):
    text = (site / f"api/{page}/index.html").read_text()
    for name in package.__all__:
        if name != "__version__":
            assert re.search(rf'id="{package.__name__}(\.\w+)*\.{name}"', text), name
            thing = getattr(package, name)
            assert inspect.getdoc(thing), name
