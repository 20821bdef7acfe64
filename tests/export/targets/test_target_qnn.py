"""Qualcomm's scripts: run with a qnn-onnx-converter and an ONNX Runtime that note what they are given."""

import sys
import types
from pathlib import Path

import pytest
from bundles import KINDS, written
from expected import ends, exact, is_open, zip_ends
from outputs import KEPT, graph_at, load_script, run_main, run_script, section


def test_qnn(bundle, tmp_path):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    found, outputs = [], []
    for call in run_script(folder, "qnn/convert.sh", ["qnn-onnx-converter"], tmp_path):
        assert call[1] == "--input_network"
        name = graph_at(folder, "qnn", call[2])
        dims = {}
        rest = call[3:]
        while rest[0] == "--input_dim":
            dims[rest[1]] = tuple(map(int, rest[2].split(",")))
            rest = rest[3:]
        assert rest[0] == "--output_path"
        assert len(rest) == 2
        outputs.append(rest[1])
        found.append((name, tuple(dims.items())))
    wanted = [(name, build) for name in shapes for build in dict.fromkeys(zip_ends(shapes[name]))]
    assert found == [(name, build) for name, build in wanted if name not in exact(manifest)]
    assert len(set(outputs)) == len(outputs)


class NotingOptions:
    """onnxruntime.SessionOptions, as far as the script uses it."""

    def __init__(self):
        self.entries, self.devices = {}, None

    def add_session_config_entry(self, name, value):
        self.entries[name] = value

    def add_provider_for_devices(self, devices, options):
        self.devices = (devices, options)


@pytest.fixture
def sessions(monkeypatch):
    """[graph, options] of each session of an ONNX Runtime whose QNN provider has two devices."""
    noted = []
    device = types.SimpleNamespace(ep_name="QNNExecutionProvider")
    other = types.SimpleNamespace(ep_name="CPUExecutionProvider")
    onnxruntime = types.SimpleNamespace(
        SessionOptions=NotingOptions,
        InferenceSession=lambda graph, options: noted.append((graph, options)),
        register_execution_provider_library=lambda name, library: None,
        get_ep_devices=lambda: [other, device, device],
    )
    library = types.SimpleNamespace(get_library_path=lambda: "qnn.so", get_qnn_htp_path=lambda: "htp.so")
    monkeypatch.setitem(sys.modules, "onnxruntime", onnxruntime)
    monkeypatch.setitem(sys.modules, "onnxruntime_qnn", library)
    return noted


def test_contexts_of_onnx_runtime(bundle, sessions, monkeypatch, tmp_path):
    """One per graph of one shape, all of it on the HTP, and in the file itself."""
    manifest, folder = bundle
    shapes, out = ends(manifest, folder), tmp_path / "out"
    script = load_script(folder, "qnn/convert.py")
    assert list(script.GRAPHS) == [n for n in shapes if n not in exact(manifest) and not is_open(shapes[n])]
    run_main(script, monkeypatch, "--out", out)
    for name, (graph, options) in zip(script.GRAPHS, sessions, strict=True):
        assert graph_at(folder, "qnn", graph) == name
        assert options.entries == {
            "session.disable_cpu_ep_fallback": "1",
            "ep.context_enable": "1",
            "ep.context_embed_mode": "1",
            "ep.context_file_path": str(out / f"{name}.onnx"),
        }
        devices, provider = options.devices
        assert [device.ep_name for device in devices] == ["QNNExecutionProvider"]
        assert provider == {
            "backend_path": "htp.so",
            "soc_model": "43",
            "htp_arch": "73",
            "enable_htp_fp16_precision": "1",
        }


def test_an_earlier_context_of_another_platform_is_replaced(sessions, monkeypatch, tmp_path):
    """ONNX Runtime would refuse to write over it."""
    _, folder = written(tmp_path / "bundle", **KINDS["static"])
    earlier = Path(tmp_path / "g_s.onnx")
    earlier.write_text("an earlier context")
    run_main(load_script(folder, "qnn/convert.py"), monkeypatch, "g_s", "--platform", "sm8750", "--out", earlier.parent)
    assert not earlier.exists()
    ((_, options),) = sessions
    assert options.devices[1]["soc_model"] == "69"
    assert options.devices[1]["htp_arch"] == "79"


def test_readme_says_what_it_leaves_out_and_whose_it_is(bundle):
    manifest, folder = bundle
    text = section(folder, "Qualcomm QNN")
    assert "proprietary" in text
    assert (KEPT in text) == bool(exact(manifest))
