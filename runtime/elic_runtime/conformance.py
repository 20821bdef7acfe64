"""Conformance: check with a known input that a backend computes an exact bundle's integers, before anything is coded.

The known input is a small array of symbols of z and y, repeated to the smallest shape that the decoder takes. h_s and
the context subgraphs are run on it as on an image. The digest of each subgraph's outputs must be the one in the
manifest, which the exporter computed in float64.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elic_runtime.bundle import Bundle
from elic_runtime.context import ContextModel, Floats, Symbols, pack
from elic_runtime.errors import BundleError, ConformanceError
from elic_runtime.model_info import ModelInfo
from elic_runtime.runners import Arrays, Compiled, OnnxRuntime, Runner, RunnerFactory, describe_backend, load_runner
from elic_runtime.shapes import DOWNSAMPLING, LATENT_STRIDE, Extent, Shape
from elic_runtime.subgraphs import H_S, deciding_names
from elic_runtime.tables import check_size

Patches = tuple[NDArray[np.int8], NDArray[np.int8]]
"""The known input: symbols of z [N, h, w] and of y [M, h, w], which are repeated in both directions."""

Trace = dict[str, tuple[Arrays, Arrays]]
"""The inputs and the outputs of each subgraph, by its name."""

_PASSED: set[tuple[OnnxRuntime, str]] = set()
"""Settings that passed in this process, each with the manifest of the bundle."""


def require_exact(
    bundle: Bundle, factory: RunnerFactory, runners: Mapping[str, Runner], medians: NDArray[np.float32]
) -> None:
    """Check an exact bundle's known input, unless it passed with the same setting before. Other bundles always pass.

    Parameters
    ----------
    bundle : Bundle
        The bundle to check.
    factory : RunnerFactory
        What loaded the runners. Only a setting of ONNX Runtime on a CPU is known to repeat its results, so any other
        factory is checked each time.
    runners : mapping of str to Runner
        The runners of the subgraphs that decide symbols, by name.
    medians : ndarray
        float32 [N], of the bundle's entropy tables.

    Raises
    ------
    ConformanceError
        If the backend computes other integers; the message names the backend and the first subgraph that differs.
    BundleError
        If the known input is missing, was changed, or does not fit the bundle.

    """
    manifest = bundle.manifest
    if manifest.conformance is None:
        return
    if isinstance(factory, Compiled):
        factory = factory.others
    key = (factory, manifest.model_dump_json()) if isinstance(factory, OnnxRuntime) and factory.repeats else None
    if key in _PASSED:
        return
    differing = first_difference(bundle, runners, medians)
    if differing is not None:
        raise ConformanceError(
            f"{describe_backend(factory)} does not compute {differing} exactly, so no other machine could read its "
            "files: choose another backend, or its float32 precision without TF32, bf16, fp16, Winograd or fast math"
        )
    if key is not None:
        _PASSED.add(key)


def load_deciding(bundle: Bundle, factory: RunnerFactory) -> dict[str, Runner]:
    """Load the subgraphs that decide symbols.

    Parameters
    ----------
    bundle : Bundle
        The bundle that contains them.
    factory : RunnerFactory
        What loads each of them.

    Returns
    -------
    dict of str to Runner
        Runners by the subgraphs' names, in the order in which they run.

    Raises
    ------
    BundleError
        If a subgraph cannot be loaded.

    """
    return {name: load_runner(bundle, factory, name) for name in deciding_names(bundle.manifest.model)}


def first_difference(bundle: Bundle, runners: Mapping[str, Runner], medians: NDArray[np.float32]) -> str | None:
    """Run the known input, and return the first subgraph whose outputs differ from the manifest's digests, or None.

    Parameters
    ----------
    bundle : Bundle
        A bundle of exact arithmetic.
    runners : mapping of str to Runner
        The runners of the subgraphs that decide symbols, by name.
    medians : ndarray
        float32 [N], of the bundle's entropy tables.

    Raises
    ------
    BundleError
        If the bundle is not exact, or its known input is missing, was changed, or does not fit it.

    """
    manifest = bundle.manifest
    if manifest.conformance is None:
        raise BundleError(
            f"{bundle.folder}: its arithmetic is {manifest.arithmetic}, and only exact arithmetic can be checked"
        )
    names, wanted = deciding_names(manifest.model), manifest.conformance.digests
    if set(wanted) != set(names):
        raise BundleError(f"{bundle.folder}: its conformance digests are not of the subgraphs that decide symbols")
    patches = read_patches(bundle.file(manifest.conformance), manifest.model)
    shape = known_shape(manifest.decoder, manifest.extent(H_S))
    found = trace(manifest.model, shape, manifest.batch.min, patches, medians, runners)
    for name in names:
        if digest(found[name][1], [t.role for t in manifest.subgraphs[name].outputs]) != wanted[name]:
            return name
    return None


def known_shape(images: Extent, deciding: Extent) -> Shape:
    """Return the size of the image that the known input is for.

    Parameters
    ----------
    images : Extent
        The shapes of images that a bundle decodes, of which the known input has the smallest.
    deciding : Extent
        The shapes that the subgraphs take which decide symbols, if these are smaller.

    """
    low, high = images.min, deciding.max
    return Shape(height=min(low.height, high.height), width=min(low.width, high.width))


def trace(
    model: ModelInfo,
    shape: Shape,
    batch: int,
    patches: Patches,
    medians: NDArray[np.float32],
    runners: Mapping[str, Runner],
) -> Trace:
    """Run h_s and the context subgraphs on known symbols, and record their inputs and outputs.

    Parameters
    ----------
    model : ModelInfo
        Widths and wiring of the model.
    shape : Shape
        Height and width of the image in pixels.
    batch : int
        How many images to run at once.
    patches : Patches
        The symbols to repeat.
    medians : ndarray
        float32 [N], of the entropy tables.
    runners : mapping of str to Runner
        The runners of the subgraphs that decide symbols, by name.

    """
    found: Trace = {}

    def recorded(name: str) -> Runner:
        def run(inputs: Arrays) -> Arrays:
            outputs = runners[name](inputs)
            found[name] = (dict(inputs), outputs)
            return outputs

        return run

    z, y = (
        _repeat(patch, batch, shape.height // stride, shape.width // stride)
        for patch, stride in zip(patches, (DOWNSAMPLING, LATENT_STRIDE), strict=True)
    )
    y_slices = np.split(y, np.cumsum(model.groups)[:-1], axis=1)

    def code(k: int, half: int, _means: Floats, _scales: Floats) -> Symbols:
        return pack(y_slices[k], model.anchor_parity ^ half).astype(np.int32)

    latents = recorded(H_S)({"z_hat": z + medians[None, :, None, None]})
    ContextModel(model, recorded).walk(dict(latents), code)
    return found


def digest(outputs: Arrays, names: list[str]) -> str:
    """Return the SHA-256 of a subgraph's outputs, in hex.

    The outputs are hashed as little-endian float32, with negative zeros replaced by zeros.

    Parameters
    ----------
    outputs : dict of ndarray
        Outputs by name.
    names : list of str
        The order in which they are hashed.

    """
    hashed = hashlib.sha256()
    for name in names:
        hashed.update(np.ascontiguousarray(outputs[name] + np.float32(0), dtype="<f4").tobytes())
    return hashed.hexdigest()


def read_patches(path: Path, model: ModelInfo) -> Patches:
    """Read `conformance.npz`.

    Parameters
    ----------
    path : Path
        The file.
    model : ModelInfo
        The model whose symbols it must contain.

    Raises
    ------
    BundleError
        If the file is damaged or too large, or is not a known input of this model.

    """
    try:
        check_size(path)
        with np.load(path, allow_pickle=False) as file:
            z, y = file["z_symbols"], file["y_symbols"]
    except BundleError:
        raise
    except Exception as error:  # each layer of a damaged zip archive of arrays raises exceptions of its own
        raise BundleError(f"{path}: not a known input: {' '.join(str(error).split())}") from None
    for patch, channels in ((z, model.N), (y, model.M)):
        if patch.dtype != np.int8 or patch.ndim != 3 or patch.shape[0] != channels or not patch.size:
            raise BundleError(f"{path}: not a known input of this model")
    return z, y


def write_patches(path: Path, patches: Patches) -> None:
    """Write `conformance.npz`."""
    np.savez(path, z_symbols=patches[0], y_symbols=patches[1])


def _repeat(patch: NDArray[np.int8], batch: int, height: int, width: int) -> Floats:
    """Repeat a patch [C, h, w] to float32 [batch, C, height, width]; each image begins one row after the previous."""
    columns = np.arange(width) % patch.shape[2]
    images = [patch[:, (np.arange(height) + b) % patch.shape[1]][:, :, columns] for b in range(batch)]
    repeated: NDArray[np.int8] = np.stack(images)
    return repeated.astype(np.float32)
