"""Ascend's script: run with an atc that notes its arguments."""

import subprocess

from expected import ends, in_float32, is_open, zip_ends
from outputs import graph_at, options, run_script, tool_folder


def test_atc(bundle, tmp_path):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    calls = [options(call) for call in run_script(folder, "atc/build.sh", ["atc"], tmp_path, SOC_VERSION="Ascend310P3")]
    assert [graph_at(folder, "atc", call["--model"]) for call in calls] == list(shapes)
    for name, call in zip(shapes, calls, strict=True):
        assert (call["--framework"], call["--soc_version"]) == ("5", "Ascend310P3")
        # force_fp32 is not exact: it feeds float16 to the matrix unit.
        assert call["--precision_mode"] == ("must_keep_origin_dtype" if name in in_float32(manifest) else "force_fp16")
        assert atc_profiles(call) == list(dict.fromkeys(zip_ends(shapes[name])))
        if call["--input_format"] == "NCHW" and is_open(shapes[name]):
            assert len(shapes[name]) == 1
            assert call["--input_shape"].endswith("-1,-1")


def atc_profiles(call):
    """The shapes that a model takes, as atc reads its options."""
    lists = {"NCHW": "--dynamic_image_size", "ND": "--dynamic_dims"}
    assert not (set(lists.values()) - {lists[call["--input_format"]]}) & call.keys()
    inputs = [(name, dims.split(",")) for name, dims in (p.split(":") for p in call["--input_shape"].split(";"))]
    profiles = [p.split(",") for p in call[lists[call["--input_format"]]].split(";")] if "-1" in str(inputs) else [[]]
    found = []
    for profile in profiles:
        values = iter(profile)
        found.append(tuple((n, tuple(int(next(values) if d == "-1" else d) for d in dims)) for n, dims in inputs))
        assert not list(values)
    return found


def test_atc_asks_for_the_chip(bundle, tmp_path):
    _, folder = bundle
    path = tool_folder(folder, "atc") / "build.sh"
    done = subprocess.run([path], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "SOC_VERSION" in done.stderr
