"""Every family on a GPU that is not there: nothing strays to the CPU, or to float32."""

from __future__ import annotations

import pytest
import torch
from fake_gpu import fake_gpu, move
from family_models import FAMILY_CASES, family_model
from toy_models import STYLES, random_model

from patchwidget.changes import change
from patchwidget.decoder import Decoder, Packed, in_single
from patchwidget.decoder.bridge import BridgeParts
from patchwidget.decoder.weights import Attention
from patchwidget.nodes import KINDS
from patchwidget.runs import capture, computing


@pytest.fixture(params=[*STYLES, *FAMILY_CASES])
def model(request):
    made = random_model if request.param in STYLES else family_model
    return made(request.param)


def assert_on_gpu(value, dtype, what):
    assert value.device.type == "cuda", what
    assert value.dtype == dtype, what


def test_nothing_strays(model, monkeypatch):
    dtype = torch.bfloat16
    # Gemma keeps it as a tensor, and nothing on this GPU has a value to be read.
    monkeypatch.setattr(BridgeParts, "embed_scale", lambda _: 5.0)
    # Nor an address to be compared.
    monkeypatch.setattr(Attention, "adjacent_qkv", None)
    with fake_gpu(), computing():
        decoder = Decoder.of(move(model, dtype))
        tokens = torch.ones(2, 5, dtype=torch.long, device="cuda")
        base, source = capture(decoder, tokens), capture(decoder, tokens)
        for place, value in base.values.items():
            assert_on_gpu(value, dtype, place)
        assert_on_gpu(base.readout.logits(), dtype, "logits")
        assert_on_gpu(base.readout.logits(3), dtype, "logits at a position")
        assert_on_gpu(in_single(decoder.weights, tokens), torch.float32, "in float32")
        for kind in KINDS:
            if (kind, 0) in base.values:
                assert_patches_stay(decoder, kind, base.values, source.values, dtype)


def assert_patches_stay(decoder, kind, base, source, dtype):
    nodes = list(decoder.extent(5).nodes(kind))[:2]
    start = change(decoder.weights, base, source, nodes)
    assert_on_gpu(start.stream, dtype, kind)
    end = decoder.resume(start.stream.flatten(0, 1), start.layer, start.site)
    assert_on_gpu(end.logits(), dtype, kind)
    # As sweeps go on: from one position on, and each copy from its own.
    for starts in ([2, 2], [1, 3]):
        for read in (3, None):
            packed = Packed.of(decoder.weights, base, starts, read)
            rows = packed.pack(start.stream)
            *_, last = packed.steps(rows, start.layer, start.site)
            assert_on_gpu(last, dtype, kind)
            assert packed.final(last).shape[:2] == (2 * 2, 1 if read == 3 else 5)


def test_it_would_be_noticed():
    with fake_gpu():
        here = torch.ones(3, 4, device="cuda")
        with pytest.raises(RuntimeError, match="cpu"):
            here + torch.ones(4)
        assert here[1:, None].shape == (2, 1, 4)
        assert here[..., 1:].shape == (3, 3)
        assert here[:, torch.tensor([0, 2, 1])].shape == (3, 3)
