"""TransformerLens' patching functions, computed by the exact engine.

One line of a notebook changes:

    from patchwidget import patching        # was: from transformer_lens import patching

- Every `get_act_patch_*` that patches activations is ours: same arguments, same returns.
- All else is TransformerLens' own: `generic_activation_patch`, the setters, direct paths.

Ours differ from theirs in what they refuse: a metric that is not finite is an error that
names the node, not a NaN in the result, and so is a cache whose shape does not fit. A
model in train mode is refused only if it drops something. Two of theirs measure something
else on a `TransformerBridge`, which the functions' own descriptions tell. TransformerLens
is imported when a function is first used.
"""

from __future__ import annotations

import sys
from typing import Any

from patchwidget.patching.functions import (
    get_act_patch_attn_head_all_pos_every,
    get_act_patch_attn_head_by_pos_every,
    get_act_patch_attn_head_k_all_pos,
    get_act_patch_attn_head_k_by_pos,
    get_act_patch_attn_head_out_all_pos,
    get_act_patch_attn_head_out_by_pos,
    get_act_patch_attn_head_pattern_all_pos,
    get_act_patch_attn_head_pattern_by_pos,
    get_act_patch_attn_head_pattern_dest_src_pos,
    get_act_patch_attn_head_q_all_pos,
    get_act_patch_attn_head_q_by_pos,
    get_act_patch_attn_head_v_all_pos,
    get_act_patch_attn_head_v_by_pos,
    get_act_patch_attn_out,
    get_act_patch_block_every,
    get_act_patch_mlp_out,
    get_act_patch_resid_mid,
    get_act_patch_resid_pre,
)
from patchwidget.patching.theirs import THEIRS, theirs

__all__ = [
    "get_act_patch_attn_head_all_pos_every",
    "get_act_patch_attn_head_by_pos_every",
    "get_act_patch_attn_head_k_all_pos",
    "get_act_patch_attn_head_k_by_pos",
    "get_act_patch_attn_head_out_all_pos",
    "get_act_patch_attn_head_out_by_pos",
    "get_act_patch_attn_head_pattern_all_pos",
    "get_act_patch_attn_head_pattern_by_pos",
    "get_act_patch_attn_head_pattern_dest_src_pos",
    "get_act_patch_attn_head_q_all_pos",
    "get_act_patch_attn_head_q_by_pos",
    "get_act_patch_attn_head_v_all_pos",
    "get_act_patch_attn_head_v_by_pos",
    "get_act_patch_attn_out",
    "get_act_patch_block_every",
    "get_act_patch_mlp_out",
    "get_act_patch_resid_mid",
    "get_act_patch_resid_pre",
]


def __getattr__(name: str) -> Any:
    # Python itself asks modules for such names, for which nothing is to be imported.
    if not name.startswith("__"):
        found = getattr(theirs(), name, None)
        if found is not None:
            return found
    raise AttributeError(f"neither {__name__!r} nor {THEIRS!r} has a {name!r}")


def __dir__() -> list[str]:
    # Completing a name is no use of it: theirs are listed where they are loaded anyway.
    loaded = dir(sys.modules[THEIRS]) if THEIRS in sys.modules else []
    return sorted({*globals(), *loaded})
