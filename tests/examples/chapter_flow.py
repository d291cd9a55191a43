"""What a chapter on activation patching computes, with gradients off for good at its top.

    python tests/examples/chapter_flow.py FILE

leaves the arrays of both packages in FILE, where ipywidgets is another than here.
"""

from __future__ import annotations

import sys
from functools import partial

import ipywidgets
import torch
import transformer_lens

from patchwidget import PatchStudy, PatchWidget, demo, patching


def ioi_metric(logits, answer_tokens, corrupted_logit_diff, clean_logit_diff):
    right, wrong = logits[:, -1].gather(1, answer_tokens).unbind(1)
    above = (right - wrong).mean() - corrupted_logit_diff
    return above / (clean_logit_diff - corrupted_logit_diff)


def arrays(functions, *, everything=False):
    """All that the chapter patches, by name.

    Args:
        functions: what the chapter imports as `patching`.
        everything: with the sweeps of many runs.
    """
    torch.set_grad_enabled(False)
    model = demo.load_model()
    pairs = demo.ioi_pairs(4, order="ABBA").on(model)
    clean_logits, clean_cache = model.run_with_cache(pairs.clean)
    corrupted_logits, corrupted_cache = model.run_with_cache(pairs.corrupted)
    raw = partial(
        ioi_metric,
        answer_tokens=pairs.answers,
        corrupted_logit_diff=0,
        clean_logit_diff=1,
    )
    metric = partial(
        ioi_metric,
        answer_tokens=pairs.answers,
        corrupted_logit_diff=raw(corrupted_logits),
        clean_logit_diff=raw(clean_logits),
    )
    denoising = model, pairs.corrupted, clean_cache, metric
    noising = model, pairs.clean, corrupted_cache, lambda logits: metric(logits) - 1
    sweeps = {
        "resid_pre": functions.get_act_patch_resid_pre,
        "heads": functions.get_act_patch_attn_head_out_all_pos,
    }
    if everything:
        sweeps |= {
            "blocks": functions.get_act_patch_block_every,
            "by position": functions.get_act_patch_attn_head_out_by_pos,
            "every part": functions.get_act_patch_attn_head_all_pos_every,
        }
    found = {name: sweep(*denoising) for name, sweep in sweeps.items()}
    found["noising"] = functions.get_act_patch_attn_head_out_all_pos(*noising)
    if torch.is_grad_enabled():
        raise AssertionError("gradients were off, and are on again")
    return found


def in_a_widget():
    """The effects of heads that a widget has verified after its cell's job."""
    study = PatchStudy(demo.load_model(), demo.ioi_pairs(4, order="ABBA"))
    widget = PatchWidget(study)
    widget.run("exact", "z")
    grid = study.exact("z")
    found = [widget.verified[str(node)]["exact"] for node in grid.nodes()]
    widget.close()
    return torch.tensor(found).reshape(grid.values.shape)


if __name__ == "__main__":
    left = {
        "ipywidgets": ipywidgets.__version__,
        "theirs": arrays(transformer_lens.patching, everything=True),
        "ours": arrays(patching, everything=True),
        "widget": in_a_widget(),
    }
    torch.save(left, sys.argv[1])
