"""The variants' data: what the graphs are declared from, before any network is built."""

import pytest
import torch
from compressai.layers import sequential_channel_ramp
from elic_models import ELIC, VARIANTS, ModelSpec
from elic_models.spec import ANCHOR, COMPRESSAI_OFFICIAL, NONANCHOR

SMALL = {"N": 16, "M": 24, "groups": (4, 8, 12)}


def ramp(inputs, outputs, least):
    """The hidden widths that CompressAI's own function chooses."""
    chosen = []

    def layer(_channels_in, channels_out):
        chosen.append(channels_out)
        return torch.nn.Identity()

    sequential_channel_ramp(
        inputs, outputs, min_ch=least, num_layers=3, interp="linear", make_layer=layer, make_act=torch.nn.ReLU
    )
    return tuple(chosen[:2])


def test_hidden_widths_of_the_official_one_are_compressais():
    """Integers here, floats rounded down there."""
    for N in (1, 16, 127, 192):
        for inputs in range(2, 3000, 37):
            for outputs in (2, 32, 66, 128, 384, 500):
                assert COMPRESSAI_OFFICIAL.hidden_widths(N, 320, inputs, outputs) == ramp(inputs, outputs, 2 * N)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("widths", [SMALL, {"N": 24, "M": 16, "groups": (16,)}, {}])
def test_the_spec_says_what_the_network_has(variant, widths):
    spec = ModelSpec(**widths, variant=variant)
    with torch.device("meta"):
        model = ELIC(spec)
        means, scales = model.latent_parameters(torch.zeros(1, spec.N, 1, 2))
        assert means.shape == scales.shape == (1, spec.latent_channels, 4, 8)
        y_hat = [torch.zeros(1, channels, 4, 8) for channels in spec.groups]
        for k, context in enumerate(model.contexts):
            nets = [context.anchor_aggregation or context.aggregation, context.aggregation]
            for half in (ANCHOR, NONANCHOR):
                widths = spec.aggregation_widths(k, half)
                assert (nets[half][0].out_channels, nets[half][2].out_channels) == widths
                assert nets[half][0].in_channels == spec.aggregation_inputs(k, half)
            support = context.support(means, scales, y_hat[:k])
            for parameters in (context.anchor(support), context.nonanchor(support, y_hat[k])):
                assert [p.shape for p in parameters] == 2 * [(1, spec.groups[k], 4, 8)]


def test_what_each_slice_reads():
    first_and_previous = ModelSpec(variant="compressai-chandelier").wiring
    assert [first_and_previous.context_slices(k) for k in range(4)] == [(), (0,), (0, 1), (0, 2)]
    all_previous = ModelSpec(variant="jiang").wiring
    assert [all_previous.context_slices(k) for k in range(4)] == [(), (0,), (0, 1), (0, 1, 2)]
    assert ModelSpec(variant="jiang").context_channels(4) == 128


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"variant": "elic"}, "known are chandelier, jiang, compressai-official, compressai-chandelier"),
        ({"M": 24}, "sum to M = 24"),
        ({"M": 16, "groups": (16, 0)}, "sum to M = 16"),
        ({"M": 16, "groups": (24, -8)}, "sum to M = 16"),
        ({"N": 0}, "outside"),
        ({"M": 1025, "groups": (1025,)}, "outside"),
    ],
)
def test_impossible_specs_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ModelSpec(**wrong)
