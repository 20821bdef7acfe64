"""What targets must say of a bundle: from its graphs' own files, and the image sizes of its manifest."""

import onnx


def ends(manifest, folder):
    """By graph and tensor: smallest and largest shape. From the graph's file, and the image sizes of the manifest."""
    return {
        name: {
            value.name: tuple(sizes(value, manifest.extent(name), manifest.batch, end) for end in ("min", "max"))
            for value in onnx.load(folder / info.file, load_external_data=False).graph.input
        }
        for name, info in manifest.subgraphs.items()
    }


def sizes(value, extent, batch, end):
    image = getattr(extent, end)
    axes = {"batch": getattr(batch, end), "height": image.height, "width": image.width}

    def size(dim):
        axis, _, divisor = dim.dim_param.partition("_")
        return axes[axis] // int(divisor or 1) if dim.dim_param else dim.dim_value

    return tuple(map(size, value.type.tensor_type.shape.dim))


def zip_ends(shapes):
    """[((tensor, smallest), ...), ((tensor, largest), ...)]"""
    return [tuple((tensor, pair[end]) for tensor, pair in shapes.items()) for end in (0, 1)]


def is_open(shapes):
    return any(low != high for low, high in shapes.values())


def deciding(manifest):
    """What decides symbols: by what comes out."""
    return {
        name
        for name, info in manifest.subgraphs.items()
        if {"latent_means", "means"} & {tensor.role for tensor in info.outputs}
    }


def exact(manifest):
    """What decides symbols in exact arithmetic: a tool without float32 does not get it."""
    return deciding(manifest) if manifest.arithmetic == "exact" else set()


def in_float32(manifest):
    """What must be built in float32: exported in fp16, it is not exact anyway."""
    return set() if manifest.precision == "fp16" else deciding(manifest)
