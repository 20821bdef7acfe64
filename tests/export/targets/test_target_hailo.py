"""Hailo's script: run with a hailo_sdk_client that notes its calls."""

import sys
import types
from typing import ClassVar

import numpy as np
from expected import deciding, ends, is_open
from outputs import graph_at, load_script, run_main, section, tool_folder


class NotingRunner:
    """hailo_sdk_client.ClientRunner, as far as the script uses it."""

    calls: ClassVar[list] = []

    def __init__(self, hw_arch):
        self.calls.append(("init", hw_arch))

    def translate_onnx_model(self, model, net_name, net_input_shapes):
        self.calls.append((model, net_name, net_input_shapes))

    def optimize(self, calibration):
        self.calls.append(("optimize", calibration.shape))

    def compile(self):
        return b"hef"


def test_hailo(bundle, monkeypatch, tmp_path):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    transforms = [name for name in shapes if name not in deciding(manifest) | {"no_entropy"}]
    fixed = [name for name in transforms if not is_open(shapes[name])]
    path = tool_folder(folder, "hailo") / "compile.py"
    readme = section(folder, "Hailo")
    assert path.exists() == bool(fixed)
    if not fixed:
        assert "Nothing is written" in readme
        assert all(f"`{name}`" in readme for name in transforms)
        return
    script = load_script(folder, "hailo/compile.py")
    assert list(script.GRAPHS) == fixed
    monkeypatch.setattr(NotingRunner, "calls", [])
    monkeypatch.setitem(sys.modules, "hailo_sdk_client", types.SimpleNamespace(ClientRunner=NotingRunner))
    for name in fixed:
        np.save(tmp_path / f"{name}.npy", np.zeros((2, 1, 1, 3), np.float32))
    run_main(script, monkeypatch, *fixed, "--calibration", tmp_path, "--hw-arch", "hailo8l", "--out", tmp_path)
    for name, (init, translate, optimize) in zip(
        fixed, zip(*(iter(NotingRunner.calls),) * 3, strict=True), strict=True
    ):
        assert init == ("init", "hailo8l")
        assert graph_at(folder, "hailo", translate[0]) == name
        assert translate[1:] == (name, {tensor: list(low) for tensor, (low, _) in shapes[name].items()})
        assert optimize == ("optimize", (2, 1, 1, 3))
        assert (tmp_path / f"{name}.hef").read_bytes() == b"hef"
