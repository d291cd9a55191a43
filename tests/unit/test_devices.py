"""One device, whichever: what is spread over several is refused, and nothing strays."""

from __future__ import annotations

import pytest
import torch
from fake_gpu import fake_gpu, move
from toy_models import STYLES, TL_MAJOR, random_model

from patchwidget import PatchStudy
from patchwidget.pairs import _answer_ids as answer_ids
from patchwidget.pairs import _tokens as tokens_of


@pytest.fixture(scope="module", params=STYLES)
def style(request):
    return request.param


def test_a_block_on_another_device_is_refused(style, tokens):
    model = random_model(style)
    model.blocks[1].to("meta")
    with pytest.raises(
        ValueError, match=r"parameters lie on cpu, meta.*Load it with device=\.\.\."
    ):
        PatchStudy(model, *tokens)


def test_a_model_without_values_is_refused(style, tokens):
    model = random_model(style)
    torch.nn.Module.to(model, "meta")
    with pytest.raises(ValueError, match="lie on meta, which keeps no values"):
        PatchStudy(model, *tokens)


@pytest.mark.skipif(TL_MAJOR >= 4, reason="a Bridge's parameters tell by themselves")
def test_a_model_meant_for_several_devices_is_refused(style, tokens):
    model = random_model(style)
    model.cfg.n_devices = 2
    with pytest.raises(ValueError, match=r"to run on 2 devices.*without n_devices"):
        PatchStudy(model, *tokens)


def test_tokens_and_answers_go_where_the_model_is(style):
    """Its configuration does not hear of a move by torch's own `to`."""
    model = random_model(style)
    with fake_gpu():
        move(model, torch.float32)
        assert str(model.cfg.device) == "cpu"
        # The rest of `Pairs.on` looks at values, which a GPU that is not there lacks.
        prompts, answers = torch.ones(2, 5).long(), torch.ones(2, 2).long()
        rows = tokens_of(model, prompts)
        for given in (answers, [(5, 6), (7, 8)]):
            for part in (*rows, answer_ids(model, given)):
                assert part.device.type == "cuda"


def test_tf32_and_its_kin_are_left_as_they_were(model, tokens):
    def switches():
        matmul = torch.backends.cuda.matmul
        return (
            torch.get_float32_matmul_precision(),
            matmul.allow_tf32,
            matmul.allow_fp16_reduced_precision_reduction,
            matmul.allow_bf16_reduced_precision_reduction,
            torch.backends.cudnn.allow_tf32,
            torch.are_deterministic_algorithms_enabled(),
            torch.get_default_dtype(),
            torch.get_default_device(),
        )

    before = switches()
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        try:
            found = switches()
            study = PatchStudy(model, *tokens)
            study.estimate("z")
            study.exact("resid_pre")
            study.reversed().exact(["L0H1.q"])
            assert switches() == found
        finally:
            torch.set_float32_matmul_precision(before[0])
    assert switches() == before
