"""Whatever is asked of a model on a device without double precision has its answer."""

from __future__ import annotations

import pytest
import torch
from apple import DEVICE, OnApple, apple, move
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, PatchStudy, sources
from patchwidget.estimate import METHODS
from patchwidget.widget.answers import triangles
from patchwidget.widget.mine import fitted

HEADS = [Head(0, 0), Head(1, 2)]


def studied():
    return PatchStudy(random_model(STYLES[0]), *random_tokens())


def noised(study):
    clean, answers = study.pairs.clean, study.pairs.answers
    source = sources.Gaussian(1.0)
    return PatchStudy(study.model, clean, answers=answers, source=source).exact("z")


def of_all_pairs(study):
    patterns, norms = study.attention(HEADS).of(-1)
    sent = torch.frombuffer(bytearray(triangles(patterns)), dtype=torch.int16)
    return torch.cat([patterns.flatten(), norms.flatten(), sent])


ASKED = {
    "scale": lambda s: torch.tensor(s.scale),
    "exact": lambda s: s.exact("z").values,
    "top": lambda s: torch.tensor([node.cell for node, _ in s.exact("z").top(3)]),
    "joint": lambda s: s.joint(HEADS).effect.raw,
    "noised": lambda s: noised(s).raw,
    "of all pairs": of_all_pairs,
    "mine": lambda s: fitted(torch.ones(2, 3), "z", s, raw=False),
    "raw mine": lambda s: fitted(torch.ones(2, 3), "z", s, raw=True),
    "circuit": lambda s: torch.tensor(s.circuit_curve(s.estimate("z")).cpr),
    "wired": lambda s: torch.tensor(s.circuit_curve(s.paths()).cpr),
    "wired by pos": lambda s: s.whole_story(["embed@2 -> final"]).all.raw,
    "verified": lambda s: torch.tensor([c.exact for c in s.verify("k").checks]),
    "paths": lambda s: s.paths("ig").raw,
    "ig by input": lambda s: s.estimate("z", "ig", path="input").values,
    "query": lambda s: s.estimate("q", "atp_qk").values,
    **{name: lambda s, name=name: s.estimate("v", name).values for name in METHODS},
}


@pytest.fixture(scope="module")
def here():
    return studied()


@pytest.fixture(scope="module")
def there():
    with apple():
        study = studied()
        move(study.model).cfg.device = DEVICE.type  # TransformerLens 2 goes by it
        made = PatchStudy(study.model, *random_tokens())
        assert made.notice is None
        return made


@pytest.mark.parametrize("what", ASKED)
def test_it_is_as_on_the_processor(here, there, what):
    expected = ASKED[what](here)
    with apple():
        assert_close(
            ASKED[what](there).cpu(), expected, rtol=1e-4, atol=1e-5, equal_nan=True
        )


def test_results_stay_there(there):
    with apple():
        raw = there.exact("z").raw
        assert raw.device == DEVICE
        assert isinstance(raw, OnApple)


def test_doubles_and_strays_would_be_noticed():
    with apple():
        one = torch.ones(3, device=DEVICE)
        for make in (
            one.double,
            lambda: torch.arange(3, device=DEVICE, dtype=torch.float64),
            lambda: torch.ones(3).double().to(DEVICE),
        ):
            with pytest.raises(TypeError, match="support float64"):
                make()
        with pytest.raises(RuntimeError, match="on mps and on cpu together"):
            one + torch.ones(3)
        assert one.cpu().double().device.type == "cpu"
        assert (one * 2).tolist() == [2, 2, 2]
