"""The three habits' scores by loops over a model's own cache, a text at a time."""

from __future__ import annotations

import numpy as np
import torch

from patchwidget.generality import HABITS


def slow_targets(tokens, ordinary):
    """By habit, what each destination of one text looks at: `{dest: [src, ...]}`."""
    found = {habit: {} for habit in HABITS}
    for dest, token in enumerate(tokens):
        if not ordinary[dest]:
            continue
        sources = [src for src in range(dest) if ordinary[src]]
        wanted = {
            "previous": [src for src in sources if src == dest - 1],
            "duplicate": [src for src in sources if tokens[src] == token],
            "induction": [
                src
                for src in sources
                if src > 0 and ordinary[src - 1] and tokens[src - 1] == token
            ],
        }
        for habit, places in wanted.items():
            found[habit][dest] = places
    return found


def slow_scores(pattern, tokens, ordinary):
    """Scores `[3, n]` of one head's pattern `[T, T]` at the ordinary tokens of a text."""
    targets = slow_targets(tokens, ordinary)
    return np.array(
        [
            [
                sum(float(pattern[dest, src]) for src in places)
                if places
                else float("nan")
                for dest, places in targets[habit].items()
            ]
            for habit in HABITS
        ]
    )


def check_habits(found, model, rows, ordinary, atol=2e-6):
    """Every score, and where heads look, against the model's cache of each text alone."""
    start = 0
    for tokens, is_text in zip(rows, ordinary, strict=True):
        count = sum(is_text)
        if not count:
            continue
        with torch.no_grad():
            _, cache = model.run_with_cache(torch.tensor([tokens]))
        columns = slice(start, start + count)
        for row, (layer, head) in enumerate(found.heads):
            pattern = cache[f"blocks.{layer}.attn.hook_pattern"][0, head].double()
            np.testing.assert_allclose(
                found.scores[:, row, columns],
                slow_scores(pattern, tokens, is_text),
                rtol=0,
                atol=atol,
            )
            weight, looks_at = pattern[torch.tensor(is_text)].max(-1)
            np.testing.assert_allclose(
                found.weight[row, columns], weight, rtol=0, atol=atol
            )
            at = pattern[torch.tensor(is_text)].gather(
                1, torch.tensor(found.looks_at[row, columns]).long()[:, None]
            )
            assert float((weight - at[:, 0]).max()) <= atol, "no other place has more"
            assert looks_at.shape == at[:, 0].shape
        start += count
    assert start == found.scores.shape[-1]
