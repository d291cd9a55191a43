"""Studies of the families in use come back from a file, grouped heads and all."""

from __future__ import annotations

import pytest
from family_models import FAMILY_CASES, family_model
from saved_studies import busy_study, last_token, same_study, spread
from toy_models import random_tokens

from patchwidget import PatchStudy


@pytest.mark.parametrize("name", FAMILY_CASES)
def test_it_comes_back_with_and_without_the_model(name, tmp_path):
    model = family_model(name)
    study = busy_study(model, random_tokens(2, 5, differ=(1, 3)))
    study.save(tmp_path / "s", attention=["L0H0.k", "L1H0.z"])
    saved = PatchStudy.load(tmp_path / "s")
    same_study(saved, study)
    own = {"mine": last_token, "mean": spread}
    same_study(PatchStudy.load(tmp_path / "s", model, metric=own), study)
    for heads in ("L0H0.k", "L1H0.z"):
        found, expected = saved.attention(heads), study.attention(heads)
        assert found.heads == expected.heads
        assert found.clean.equal(expected.clean)
        assert found.clean_norms.equal(expected.clean_norms)


@pytest.mark.parametrize("name", FAMILY_CASES[:3])
def test_other_weights_are_another_model(name, tmp_path):
    PatchStudy(family_model(name), *random_tokens(1, 3)).save(tmp_path / "s")
    with pytest.raises(ValueError, match="its weights"):
        PatchStudy.load(tmp_path / "s", family_model(name, seed=1))
