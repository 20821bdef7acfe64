"""Emulate a device that computes in fp16: PyTorch, with activations rounded after every layer.

ONNX Runtime's CPU provider runs fp16 graphs in fp32 and removes their casts, so it cannot show what fp16 costs. Here,
weights and the outputs of all layers are rounded to fp16, while sums stay in fp32, as on NPUs and GPUs.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from elic_runtime.entries import Interface
from elic_runtime.runners import Arrays, Runner, RunnerFactory
from torch import Tensor, nn

from elic_export.exact.deployment import Deployment
from elic_export.graphs.declare import Declaration, declare_codec


def emulated_half(deployment: Deployment, exact: RunnerFactory, *, mixed: bool) -> RunnerFactory:
    """Return a factory of runners in emulated fp16.

    Parameters
    ----------
    deployment : Deployment
        The model.
    exact : callable
        Factory of the runners that are not emulated.
    mixed : bool
        Whether subgraphs that decide symbols are not emulated.

    Returns
    -------
    callable
        A runner factory, as `Codec.load` takes it.

    """
    graphs = {graph.name: graph for graph in declare_codec(deployment.model.spec)}

    def factory(name: str, path: Path, info: Interface) -> Runner:
        graph = graphs.get(name)
        if graph is None or (mixed and graph.decides_symbols):
            return exact(name, path, info)
        return _runner(graph, deployment, info)

    return factory


def _runner(graph: Declaration, deployment: Deployment, info: Interface) -> Runner:
    module = copy.deepcopy(graph.build(deployment)).eval()
    for parameter in module.parameters():
        parameter.data = _rounded(parameter.data)
    for part in module.modules():
        part.register_forward_hook(_round_outputs)
    names = {tensor.role: tensor for tensor in (*info.inputs, *info.outputs)}

    @torch.inference_mode()
    def run(inputs: Arrays) -> Arrays:
        taken = [_rounded(torch.from_numpy(inputs[names[role].name]).float()) for role in graph.subgraph.inputs]
        outputs = module(*taken)
        tensors = (outputs,) if isinstance(outputs, Tensor) else outputs
        return {
            names[role].name: tensor.contiguous().numpy().astype(names[role].dtype)
            for role, tensor in zip(graph.subgraph.outputs, tensors, strict=True)
        }

    return run


def _round_outputs(_module: nn.Module, _inputs: Any, outputs: Any) -> Any:
    return _rounded(outputs) if isinstance(outputs, Tensor) else tuple(map(_rounded, outputs))


def _rounded(values: Tensor) -> Tensor:
    return values.half().float()
