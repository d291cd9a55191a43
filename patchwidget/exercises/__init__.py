"""Checkers for what a chapter on activation patching asks you to write yourself.

>>> from patchwidget import exercises
>>> def ioi_metric(logits, answer_tokens, corrupted_logit_diff, clean_logit_diff):
...     right, wrong = logits[:, -1].gather(1, answer_tokens).unbind(1)
...     return (right - wrong).mean()
>>> verdict = exercises.check_ioi_metric(ioi_metric)
>>> bool(verdict), verdict.mistake
(False, 'not_normalised')

A checker runs your function on two small odd models and on the chapter's own case, and
answers in a sentence. A function may take its arguments in another order under the same
names, or under other names in the same order. The models are the checkers' own: hooks,
gradients or changes that a function leaves on them are removed afterwards. A function is
ended when it takes too long (`seconds=` says how long), and an error is shown with the
line it came from.
"""

from __future__ import annotations

from patchwidget.exercises.answer import check_answer
from patchwidget.exercises.estimates import check_attribution_patch, check_query_fix
from patchwidget.exercises.heads import (
    check_get_act_patch_attn_head_all_pos_every,
    check_get_act_patch_attn_head_by_pos_every,
    check_get_act_patch_attn_head_out_all_pos,
    check_get_act_patch_attn_head_out_by_pos,
)
from patchwidget.exercises.hook_functions import (
    check_patch_attn_patterns,
    check_patch_head_vector,
    check_patch_head_vector_by_pos,
    check_patch_residual_component,
)
from patchwidget.exercises.metric import check_ioi_metric, check_ioi_metric_noising
from patchwidget.exercises.noising import check_noising
from patchwidget.exercises.residual import (
    check_get_act_patch_block_every,
    check_get_act_patch_resid_pre,
)
from patchwidget.exercises.verdict import Verdict

__all__ = [
    "Verdict",
    "check_answer",
    "check_attribution_patch",
    "check_get_act_patch_attn_head_all_pos_every",
    "check_get_act_patch_attn_head_by_pos_every",
    "check_get_act_patch_attn_head_out_all_pos",
    "check_get_act_patch_attn_head_out_by_pos",
    "check_get_act_patch_block_every",
    "check_get_act_patch_resid_pre",
    "check_ioi_metric",
    "check_ioi_metric_noising",
    "check_noising",
    "check_patch_attn_patterns",
    "check_patch_head_vector",
    "check_patch_head_vector_by_pos",
    "check_patch_residual_component",
    "check_query_fix",
]
