"""Bundles of every kind, as manifests with graphs that have the right inputs and nothing in them.

Which subgraphs there are, and what each takes and gives, is the runtime's table of them.
"""

import numpy as np
import onnx
from elic_export.targets.write import write_targets
from elic_runtime.entries import SubgraphInfo, TensorInfo
from elic_runtime.manifest import Manifest
from elic_runtime.model_info import ModelInfo
from elic_runtime.shapes import Batch, Extent, Shape, fix, fixed_sizes
from elic_runtime.subgraphs import NO_ENTROPY, Tensor, subgraphs

GROUPS = (16, 16, 32, 64, 192)

MODEL = ModelInfo(
    variant="chandelier",
    N=192,
    M=320,
    latent_channels=320,
    groups=GROUPS,
    anchor_parity=0,
    context_slices=((), (0,), (0, 1), (0, 2), (0, 3)),  # slice 0 and the slice before
)

FEATURES = Tensor(192, 4)
SUPPORT_CHANNELS = 640

TABLE = subgraphs(MODEL, [SUPPORT_CHANNELS] * len(GROUPS))

PADDED = frozenset({"h_s", "g_s"})
"""The graphs whose transposed convolution has output_padding here."""

DIGEST = "0" * 64


def make_bundle(
    folder, form, encoder, decoder=None, batch=(1, 1), arithmetic="exact", renamed=(), precision="fp32"
) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    batches = Batch(min=batch[0], max=batch[1])
    encoded, decoded = (
        Extent(min=Shape(height=low[0], width=low[1]), max=Shape(height=high[0], width=high[1]))
        for low, high in (encoder, decoder or encoder)
    )
    infos = {}
    for name, declared in TABLE.items():
        if (name == NO_ENTROPY) != (form == "no-entropy"):
            continue
        extent = encoded if declared.encoder_only else decoded
        inputs, outputs = (
            tensor_infos(tensors, extent, batches, dict(renamed), precision)
            for tensors in (declared.inputs, declared.outputs)
        )
        write_graph(folder / f"{name}.onnx", inputs, outputs, pads=name in PADDED)
        infos[name] = SubgraphInfo(
            file=f"{name}.onnx", sha256=DIGEST, inputs=inputs, outputs=outputs, operators={"Conv": 1}
        )
    known = {"file": "conformance.npz", "sha256": DIGEST, "digests": {}}
    return Manifest.model_validate(
        {
            "producer": "test",
            "model": MODEL,
            "checkpoint": {"name": "test", "sha256": DIGEST},
            "form": form,
            "encoder": encoded,
            "decoder": decoded,
            "batch": batches,
            "opset": 17,
            "rewrites": (),
            "precision": precision,
            "arithmetic": arithmetic,
            "subgraphs": infos,
            "entropy_tables": {"file": "entropy_tables.npz", "sha256": DIGEST},
            "conformance": known if arithmetic == "exact" and form != "no-entropy" else None,
            "sources": DIGEST,
            "fingerprint": DIGEST,
        }
    )


def tensor_infos(tensors, extent, batch, renamed, precision):
    def info(role, shape):
        open_shape = fix(shape, fixed_sizes(extent, batch))
        ends = [
            fix(shape, {"batch": b, "height": image.height, "width": image.width})
            for b, image in ((batch.min, extent.min), (batch.max, extent.max))
        ]
        ranged = any(isinstance(dim, str) for dim in open_shape)
        return TensorInfo(
            name=renamed.get(role, role),
            renamed=role if role in renamed else None,
            dtype="float16" if precision == "fp16" else "float32",
            shape=open_shape,
            min_shape=ends[0] if ranged else None,
            max_shape=ends[1] if ranged else None,
        )

    return tuple(info(role, (tensor if tensor.known else FEATURES).dims) for role, tensor in tensors.items())


def write_graph(path, inputs, outputs, *, pads):
    values = [
        [
            onnx.helper.make_tensor_value_info(t.name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(t.dtype)), t.shape)
            for t in tensors
        ]
        for tensors in (inputs, outputs)
    ]
    node = onnx.helper.make_node(
        "ConvTranspose", [inputs[0].name, "w"], [outputs[0].name], **({"output_padding": [1, 1]} if pads else {})
    )
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], path.stem, *values)), path)


FIXED = ((512, 512), (512, 512))
WIDE = ((1280, 2048), (1280, 2048))
RANGE, DECODED = ((512, 512), (1280, 1280)), ((512, 512), (2048, 2048))

KINDS = {
    "static": {"form": "static", "encoder": FIXED},
    "static-float": {"form": "static", "encoder": ((128, 192), (128, 192)), "arithmetic": "float"},
    "static-fp16": {"form": "static", "encoder": FIXED, "arithmetic": "float", "precision": "fp16"},
    "static-batches": {"form": "static", "encoder": FIXED, "batch": (1, 4)},
    "static-renamed": {"form": "static", "encoder": FIXED, "renamed": {"x": "image", "y_hat": "latent"}.items()},
    "dynamic": {"form": "dynamic", "encoder": RANGE, "decoder": DECODED},
    "dynamic-wide": {"form": "dynamic", "encoder": ((512, 256), (512, 1024)), "arithmetic": "float"},
    "no-entropy": {"form": "no-entropy", "encoder": FIXED, "arithmetic": "float"},
    "no-entropy-wide": {"form": "no-entropy", "encoder": WIDE},
}


def written(folder, **kind):
    """The manifest of such a bundle, whose targets are written, and its folder."""
    manifest = make_bundle(folder, **kind)
    return manifest.model_copy(update={"targets": write_targets(manifest, folder)}), folder
