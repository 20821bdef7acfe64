"""Rockchip's and Qualcomm's compilers and simulators, where someone who accepted their licences installed them."""

import subprocess

import pytest
from copies import linked
from elic_export.api import compile_bundle
from elic_export.compiling.settings import CompileSettings
from elic_export.compiling.toolchain import NotInstalledError, find_python, version_of
from elic_export.targets.registry import all_targets
from elic_runtime import BundleError, Codec, read_info
from elic_runtime.bundle import Bundle
from elic_runtime.images import read_image, write_image
from elic_runtime.metrics import psnr
from elic_runtime.runners import ONNXRUNTIME, fastest

pytestmark = pytest.mark.slow

COMPILATIONS = {target.tool: target.compilation for target in all_targets()}


@pytest.fixture(scope="module", params=["rknn", "qnn"])
def tool(request):
    return request.param


@pytest.fixture(scope="module")
def python(tool):
    """The interpreter of the compiler's own environment."""
    try:
        return find_python(tool, COMPILATIONS[tool])
    except NotInstalledError:
        pytest.skip(f"{tool} is proprietary: `make setup-{tool}` installs it into {COMPILATIONS[tool].environment}")


@pytest.fixture(scope="module")
def compiled(python, tool, trained_path, tmp_path_factory):
    folder = linked(trained_path, tmp_path_factory.mktemp(tool) / "static-128x192")
    (result,) = compile_bundle(folder, [tool])
    assert not isinstance(result, Exception), result
    return folder


@pytest.fixture
def elic(python):
    """The command, run in that environment."""

    def run(*arguments):
        command = [python, "-m", "elic_runtime", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    return run


def test_it_passes_and_is_recorded(compiled, python, tool):
    bundle = Bundle(compiled)
    target, compilation = bundle.manifest.compiled[tool], COMPILATIONS[tool]
    assert target.passed
    assert target.simulated
    assert target.version == version_of(python, compilation.distribution)
    assert (target.platform, target.precision) == (compilation.platforms[0], "fp16")
    assert set(target.subgraphs) == {"g_a_h_a", "g_s"}
    for file in target.files:
        bundle.file(file)
    assert target.speed.seconds.keys() == {"g_a_h_a", "g_s"}
    assert fastest(bundle.manifest) == ONNXRUNTIME


def test_files_cross_between_it_and_onnx_runtime(compiled, elic, tool, trained_codec, cat, tmp_path):
    """Written in its simulator and decoded here, and the other way round; rate and picture are the same."""
    image = cat[60:188, 100:292]
    write_image(tmp_path / "cat.png", image)
    given = ("--bundle", compiled, "--runner", tool)
    theirs, ours = elic("compress", tmp_path / "cat.png", "-", *given), trained_codec.compress(image)
    assert read_info(theirs).size == len(theirs)
    # A file of 2 kB: a few symbols that round the other way are 1 %.
    assert len(theirs) == pytest.approx(len(ours), rel=0.02)
    expected = psnr(image, trained_codec.decompress(ours))
    assert psnr(image, trained_codec.decompress(theirs)) == pytest.approx(expected, abs=0.15)
    (tmp_path / "ours.elic").write_bytes(ours)
    elic("decompress", tmp_path / "ours.elic", tmp_path / "ours.png", *given)
    assert psnr(image, read_image(tmp_path / "ours.png")) == pytest.approx(expected, abs=0.1)


def test_here_its_runner_is_not_installed(compiled, tool):
    with pytest.raises(BundleError, match=f"the runner {tool} needs the package .*, which is not installed"):
        Codec.load(compiled, runner=tool)


@pytest.mark.parametrize("tool", ["rknn"], indirect=True)
def test_a_plain_deconvolution_is_explained(tool, python, trained_path, tmp_path):
    """RKNN's own failure, of a graph that was not rewritten."""
    folder = linked(trained_path, tmp_path / "bundle")
    (result,) = compile_bundle(folder, [tool], settings=CompileSettings(rewrites=()))
    said = str(result)
    assert said.startswith("rknn cannot compile g_s: ")
    assert "output_padding of ConvTranspose" in said
    assert "deconv_to_depth_to_space" in said
    assert "\n" not in said
