"""An application's own factory: a fake device, and a backend that must not decide symbols."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from elic_runtime import BundleError, Codec, ConformanceError
from elic_runtime.runners import describe_backend, onnxruntime_factory
from elic_runtime.runners.mnn import Engine
from elic_runtime.runners.quiet import quietly

CONTEXT = [f"context_{k}_{half}" for k in range(5) for half in ("anchor", "nonanchor")]


@pytest.fixture
def log():
    """(what, name of a subgraph) of each call, in order."""
    return []


@pytest.fixture
def device(log):
    """A device in ten lines: it loads, runs and releases, and takes the shapes that it was told, and no others."""

    def load(name, graph, info):
        assert graph.is_file()
        run, shapes = onnxruntime_factory(threads=1)(name, graph, info), {t.name: t.shape for t in info.inputs}
        log.append(("load", name))

        def on_device(inputs):
            assert inputs.keys() == shapes.keys()
            for tensor, array in inputs.items():
                # Subgraphs on the CPU have open dimensions, named by symbols.
                sizes = zip(array.shape, shapes[tensor], strict=True)
                assert all(size == told for size, told in sizes if isinstance(told, int))
            assert all(array.dtype == np.float32 for array in inputs.values())
            log.append(("run", name))
            return run(inputs)

        on_device.close = lambda: log.append(("close", name))
        return on_device

    return load


def names(log, what):
    return [name for each, name in log if each == what]


def test_a_device_loads_then_runs_in_the_order_of_the_data(bundle_path, device, log, codec, cat):
    own = Codec.load(bundle_path, runner=device)
    assert names(log, "load") == ["h_s", *CONTEXT, "g_a_h_a", "h_a", "g_s"]
    assert names(log, "run") == ["h_s", *CONTEXT]  # the known input, which proves that it is exact
    log.clear()
    image = cat[:128, :192]
    data = own.compress(image)
    assert names(log, "run") == ["g_a_h_a", "h_s", *CONTEXT]
    log.clear()
    picture = own.decompress(data)
    assert names(log, "run") == ["h_s", *CONTEXT, "g_s"]
    assert data == codec.compress(image)
    assert np.abs(picture.astype(int) - codec.decompress(data)).max() <= 1


def test_tiles_follow_one_another(bundle_path, device, log, cat):
    own = Codec.load(bundle_path, runner=device)
    log.clear()
    own.decompress(own.compress(cat[:128, :200], tiles=True))
    whole = ["h_s", *CONTEXT]
    assert names(log, "run") == [*(["g_a_h_a", *whole] * 2), *([*whole, "g_s"] * 2)]


def test_each_half_loads_its_own_subgraphs(bundle_path, device, log):
    Codec.load(bundle_path, runner=device, decode=False)
    assert set(names(log, "load")) == {"h_s", *CONTEXT, "g_a_h_a", "h_a"}
    log.clear()
    Codec.load(bundle_path, runner=device, encode=False)
    assert set(names(log, "load")) == {"h_s", *CONTEXT, "g_s"}


def test_what_was_loaded_is_closed_once(bundle_path, device, log):
    with Codec.load(bundle_path, runner=device):
        assert not names(log, "close")
    assert sorted(names(log, "close")) == sorted(names(log, "load"))
    log.clear()
    Codec.load(bundle_path, runner=device).close()
    assert sorted(names(log, "close")) == sorted(names(log, "load"))


def test_an_error_in_the_block_closes_too(bundle_path, device, log):
    with pytest.raises(RuntimeError, match="an application's own"), Codec.load(bundle_path, runner=device):
        raise RuntimeError("an application's own")
    assert names(log, "close")


def test_a_runner_that_cannot_be_closed_needs_no_closing(bundle_path):
    with Codec.load(bundle_path, runner=onnxruntime_factory()) as own:
        assert not hasattr(
            onnxruntime_factory()("g_s", own.bundle.graph_path("g_s"), own.bundle.interface("g_s")), "close"
        )


def test_a_device_that_is_refused_releases_what_it_loaded(bundle_path, device, log):
    """A board's memory must not be lost to a codec that nobody has."""

    def inexact(name, graph, info):
        run = device(name, graph, info)

        def wrong(inputs):
            return {tensor: array + np.float32(1) for tensor, array in run(inputs).items()}

        wrong.close = run.close
        return wrong

    with pytest.raises(ConformanceError):
        Codec.load(bundle_path, runner=inexact)
    assert sorted(names(log, "close")) == sorted(names(log, "load"))


def test_a_device_that_cannot_load_a_graph_says_so_itself(bundle_path, device):
    def without_g_s(name, graph, info):
        if name == "g_s":
            raise BundleError("the device has no room for g_s")
        return device(name, graph, info)

    with pytest.raises(BundleError, match="no room for g_s"):
        Codec.load(bundle_path, runner=without_g_s)


def converted(graph: Path, folder: Path) -> Path:
    """A graph as MNN's own converter writes it."""
    path = folder / f"{graph.stem}.mnn"
    converter = [sys.executable, "-c", "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)"]
    command = [*converter, "-f", "ONNX", "--modelFile", graph, "--MNNModel", path, "--bizCode", "x"]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.parametrize("wrong", ["h_s", "context_2_anchor"])
def test_mnn_is_refused_where_symbols_are_decided(trained_path, tmp_path, wrong):
    """Its Winograd convolutions round, in float32 too. ONNX Runtime does the rest, which is exact."""
    with quietly():
        engine = Engine(None, 1)

    def on_mnn(name, graph, info):
        if name != wrong:
            return onnxruntime_factory()(name, graph, info)
        with quietly():
            return engine.load(converted(graph, tmp_path), info)

    with pytest.raises(ConformanceError, match=f"does not compute {wrong} exactly.* Winograd") as error:
        Codec.load(trained_path, runner=on_mnn)
    assert re.match(rf"the runner {re.escape(on_mnn.__qualname__)} does not", str(error.value))
    assert describe_backend(engine).startswith("MNN ")


SAYS = """
import ctypes, sys
from elic_runtime.runners.quiet import quietly
with quietly():
    print("python loads")
    ctypes.CDLL(None).puts(b"C loads")
    if sys.argv[1] == "fails":
        raise SystemExit(1)
print("done")
"""


@pytest.mark.parametrize(("how", "out", "err"), [("loads", "done\n", ""), ("fails", "", "python loads\nC loads\n")])
def test_what_an_engine_prints_is_shown_if_it_fails(how, out, err):
    """Python's output and C's, which holds it back where stdout is no terminal."""
    run = subprocess.run([sys.executable, "-c", SAYS, how], capture_output=True, text=True, check=False)
    assert (run.stdout, sorted(run.stderr.splitlines())) == (out, sorted(err.splitlines()))
