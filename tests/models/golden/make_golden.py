"""Golden vectors from a public ELIC implementation: what `test_golden.py` holds ours against.

python tests/models/golden/make_golden.py chandelier|jiang CHECKOUT [--out FOLDER] [--salts N]

Runs the reference's own code, from a checkout of its repository, with seeded weights;
nothing of ours takes part but `seeded.py`. README.md says which commits and what had to
be stood in for. Of N salts it keeps the one whose numbers lie farthest from where
rounding decides, so that another machine's float noise flips no symbol and no index.
"""

import argparse
import importlib
import json
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import seeded  # noqa: E402 - a neighbour, found by the line above

JIANG = {"N": 24, "M": 48, "slice_num": 4, "slice_ch": [4, 4, 8, 32], "quant": "ste"}
"""Widths other than the default's, and slices of another number."""

HEIGHT, WIDTH = 64, 128


def stand_in(name, **attributes):
    """A module that the reference imports and its inference does not need."""
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(attributes)


def chandelier(checkout):
    """TestModel of Network.py, written for CompressAI 1.1.5."""
    import compressai.models.priors
    import compressai.ops
    from compressai.entropy_models import GaussianConditional

    for name in ("timm", "timm.models"):
        stand_in(name)
    stand_in("timm.models.layers", trunc_normal_=None)
    stand_in("thop", profile=None)
    stand_in("ptflops", get_model_complexity_info=None)
    # Names that CompressAI has since moved or renamed; the arithmetic is the same.
    compressai.models.priors.GaussianConditional = GaussianConditional
    compressai.ops.ste_round = compressai.ops.quantize_ste
    sys.path.insert(0, str(checkout))
    return importlib.import_module("Network").TestModel()


def jiang(checkout):
    """ELIC of models/elic.py."""
    import compressai.ops

    stand_in("einops")
    compressai.ops.ste_round = compressai.ops.quantize_ste
    torch.cuda.synchronize = lambda: None  # its decompress() times itself on a GPU
    sys.path.insert(0, str(checkout))
    config = types.SimpleNamespace(**JIANG)
    return importlib.import_module("models.elic").ELIC(config)


def record_passes(model):
    """Have the model's coding leave behind what each pass is coded with: packed scales, y, means."""
    gaussian = model.gaussian_conditional
    build_indexes, quantize = gaussian.build_indexes, gaussian.quantize
    passes = []

    def recording_indexes(scales):
        passes.append({"scales": scales.clone()})
        return build_indexes(scales)

    def recording_quantize(inputs, mode, means=None):
        if mode == "symbols":
            passes[-1] |= {"y": inputs.clone(), "means": means.clone()}
        return quantize(inputs, mode, means)

    gaussian.build_indexes, gaussian.quantize = recording_indexes, recording_quantize
    return passes


def flat(strings):
    """Strings in nested lists, in their order."""
    return [s for inner in strings for s in flat(inner)] if isinstance(strings, list) else [strings]


def margin(z_residual, passes, table):
    """How near a number comes to where it would be coded as another.

    z_residual: z - medians. passes: as `record_passes` leaves them.
    Distance of z - medians and y - means to the next half, and of scales to the next
    entry of the table, relative to the largest of those numbers: float noise is, too.
    """

    def to_half(residual, size):
        return float((0.5 - (residual - residual.round()).abs()).min() / size)

    nearest = [to_half(z_residual, z_residual.abs().max())]
    for one in passes:
        nearest.append(to_half(one["y"] - one["means"], one["y"].abs().max() + one["means"].abs().max()))
        distance = (one["scales"][..., None] - table).abs().amin(dim=-1)
        nearest.append(float((distance / one["scales"].abs().max()).min()))
    return min(nearest)


@torch.inference_mode()
def run(model, passes, salt):
    """The reference's answers with the weights of one salt, and their margin."""
    for name, parameter in model.named_parameters():
        parameter.copy_(seeded.tensor(name, parameter.shape, salt))
    model.update(force=True)
    x = seeded.image(HEIGHT, WIDTH, salt)

    seen = {}
    hooks = [
        module.register_forward_hook(lambda _m, _in, out, name=name: seen.update({name: out.clone()}))
        for name, module in (("y", model.g_a), ("z", model.h_a))
    ]
    hooks.append(model.g_s.register_forward_pre_hook(lambda _m, given: seen.update(y_hat=given[0].clone())))
    passes.clear()
    coded = model.compress(x)
    encoding = list(passes)
    decoded = model.decompress(coded["strings"], coded["shape"])["x_hat"]
    y_hat = seen["y_hat"]
    forward = model(x)
    for hook in hooks:
        hook.remove()
    # Jiang's decompress() does not clamp, TestModel's does.
    difference = forward["x_hat"].clamp(0, 1) - decoded.clamp(0, 1)
    assert difference.abs().max() < 1e-4, "the reference disagrees with itself"

    answers = {"y": seen["y"], "z": seen["z"], "y_hat": y_hat, "x_hat": forward["x_hat"]}
    for name, likelihoods in forward["likelihoods"].items():
        answers[f"bits_{name[0]}"] = -likelihoods.double().log2().sum()
    for number, one in enumerate(encoding):
        answers |= {f"pass{number}_means": one["means"], f"pass{number}_scales": one["scales"]}
    answers = {name: value.numpy() for name, value in answers.items()}
    y_strings, z_strings = coded["strings"]
    for number, string in enumerate([*flat(y_strings), *flat(z_strings)]):
        answers[f"string{number}"] = np.frombuffer(string, dtype=np.uint8)
    medians = model.entropy_bottleneck.quantiles[:, 0, 1]  # [N]
    z_residual = seen["z"] - medians[:, None, None]
    return answers, margin(z_residual, encoding, model.gaussian_conditional.scale_table)


def main():
    """Write the vectors of one reference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", choices=("chandelier", "jiang"))
    parser.add_argument("checkout", type=Path, help="working tree of the reference's repository")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--salts", type=int, default=8, help="how many sets of weights to choose from")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # CompressAI deprecates what the references call
    torch.set_num_threads(1)

    model = {"chandelier": chandelier, "jiang": jiang}[arguments.reference](arguments.checkout.resolve()).eval()
    passes = record_passes(model)
    best, best_margin, best_salt = None, -1.0, ""
    for salt in (f"{n}:" for n in range(arguments.salts)):
        answers, reached = run(model, passes, salt)
        print(f"salt {salt} margin {reached:.2e}")
        if reached > best_margin:
            best, best_margin, best_salt = answers, reached, salt

    run(model, passes, best_salt)  # leaves that salt's tables in the model
    parameters = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
    buffers = {f"buffer:{name}": value.numpy() for name, value in model.named_buffers() if not name.endswith("mask")}
    about = {"salt": best_salt, "margin": best_margin, "parameters": parameters, "torch": torch.__version__}
    target = arguments.out / f"{arguments.reference}.npz"
    np.savez_compressed(target, about=np.array(json.dumps(about)), **best, **buffers)
    print(f"{target}: {target.stat().st_size} bytes, margin {best_margin:.2e}")


if __name__ == "__main__":
    main()
