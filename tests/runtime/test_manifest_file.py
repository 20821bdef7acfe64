"""`manifest.json` as a file: its version, whether it is as it was written, whether it is valid. No bundle is needed."""

import json

import pytest
from elic_runtime.entries import CheckpointInfo, FileInfo, TargetFile
from elic_runtime.errors import BundleError
from elic_runtime.manifest import FORMAT_VERSION, Manifest, ModelInfo
from elic_runtime.manifest_file import read_manifest, seal, write_manifest
from elic_runtime.shapes import Batch, Extent

DIGEST = "0" * 64


@pytest.fixture
def manifest():
    return Manifest(
        producer="elic-deploy 0.1.0",
        model=ModelInfo(
            variant="chandelier", N=8, M=8, latent_channels=8, groups=(8,), anchor_parity=0, context_slices=((),)
        ),
        checkpoint=CheckpointInfo(name="Gewölbe.pth", sha256=DIGEST),
        form="static",
        encoder=Extent.one(64, 64),
        decoder=Extent.one(64, 64),
        batch=Batch(),
        opset=17,
        rewrites=(),
        precision="fp32",
        arithmetic="float",
        subgraphs={},
        entropy_tables=FileInfo(file="entropy_tables.npz", sha256=DIGEST),
        targets=(TargetFile(file="targets/trtexec/build.sh", sha256=DIGEST),),
        sources=DIGEST,
        fingerprint=DIGEST,
    )


@pytest.fixture
def folder(manifest, tmp_path):
    write_manifest(tmp_path, manifest)
    return tmp_path


def content(folder):
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def rewrite(folder, fields):
    (folder / "manifest.json").write_text(json.dumps(fields), encoding="utf-8")


def refused(folder):
    with pytest.raises(BundleError) as error:
        read_manifest(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_written_is_read(manifest, folder):
    assert read_manifest(folder) == manifest
    assert content(folder)["format_version"] == FORMAT_VERSION == 5


def test_layout_is_no_edit(manifest, folder):
    """Other tools may write the same content in another order and with other blanks."""
    rewrite(folder, dict(reversed(content(folder).items())))
    assert read_manifest(folder) == manifest


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.update(precision="fp16"),
        lambda m: m["checkpoint"].update(name="other.pth"),
        lambda m: m.update(arithmetic="loose"),
        lambda m: m.update(surprise=1),
        lambda m: m.pop("producer"),
        lambda m: m.pop("digest"),
        lambda m: m.update(digest=DIGEST),
        lambda m: m.update(digest=4),
    ],
)
def test_an_edited_manifest_is_refused(folder, edit):
    fields = content(folder)
    edit(fields)
    rewrite(folder, fields)
    assert "manifest.json: changed since the export" in refused(folder)


def test_a_sealed_edit_is_looked_at(folder):
    rewrite(folder, seal(content(folder) | {"surprise": 1}))
    assert "surprise: Extra inputs" in refused(folder)


@pytest.mark.parametrize("version", [3, 6])
def test_another_version_says_what_to_do(folder, version):
    """Before anything else of it is looked at, which may all be otherwise in that version."""
    rewrite(folder, {"format_version": version, "producer": "elic-deploy 0.9.1", "layers": [1, 2]})
    assert refused(folder) == (
        f"{folder}: a bundle of format version {version}, written by elic-deploy 0.9.1; this program reads "
        "versions 4 to 5: export it again with elic-export, or use elic-deploy 0.9.1"
    )


@pytest.mark.parametrize("producer", [None, "", 7, "a" * 5000, "\x1b[2J", "elic\ndeploy"])
def test_another_version_by_who_knows_whom(folder, producer):
    rewrite(folder, {"format_version": 3, "producer": producer})
    message = refused(folder)
    assert "version 3; this program reads versions 4 to 5" in message
    assert message.endswith("or use the elic-deploy that wrote it")


@pytest.mark.parametrize(
    "text", ["{", "", "[1]", '{"name": "a web app"}', '{"format_version": "4"}', "\ufeff{}", "[" * 10**5]
)
def test_what_is_no_manifest(folder, text):
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    assert str(folder / "manifest.json") in refused(folder)


@pytest.mark.parametrize(
    "path",
    ["../x", "targets/../../x", "/etc/passwd", "targets//x", "targets/", "", ".", "targets\\..\\x", "a/./b", "a\0b"],
)
def test_targets_cannot_lie_elsewhere(folder, path):
    rewrite(folder, seal(content(folder) | {"targets": [{"file": path, "sha256": DIGEST}]}))
    assert "is not a plain file name" in refused(folder)
