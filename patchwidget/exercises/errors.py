"""What a student's exception means, with the line it came from."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from patchwidget.exercises.arguments import innermost

RAISED = "It raised "
_PACKAGE = str(Path(__file__).parents[1])


class Hint(NamedTuple):
    """What an error usually means here: its mistake's name, what it says, the sentence."""

    name: str
    pattern: str
    sentence: str


# From what torch, TransformerLens and Python say.
HINTS: tuple[Hint, ...] = (
    Hint(
        "grad_off",
        "does not require grad",
        "Grad mode is off (such notebooks turn it off at the top), or the graph was cut: "
        "do the forward pass inside `with torch.enable_grad():`.",
    ),
    Hint(
        "hook_keyword",
        r"unexpected keyword argument 'hook'|positional arguments? but|multiple values for argument",
        "TransformerLens calls a hook function as `fn(value, hook=hook)`: it needs a "
        "parameter called `hook`, and all others must be filled in beforehand, with "
        "`functools.partial(fn, pos=pos, clean_cache=clean_cache)`.",
    ),
    Hint(
        "missing_argument",
        r"missing \d+ required",
        "Fill in the arguments that TransformerLens does not know, with "
        "`functools.partial(fn, pos=pos, clean_cache=clean_cache)`.",
    ),
    Hint(
        "leaf_in_place",
        "leaf Variable that requires grad|needed for gradient computation has been",
        "A tensor that is being differentiated was changed in place: work on `.clone()`.",
    ),
    Hint(
        "shapes_differ",
        "shape mismatch|expanded size|must match the size|not broadcastable|"
        "mat1 and mat2|number of sizes provided|Size does not match",
        "Two shapes do not fit: index both sides of the assignment in the same way, and "
        "print the shapes.",
    ),
    Hint(
        "index_axis",
        "out of range|out of bounds|too many indices",
        "An index is larger than its axis. The stream is [batch, pos, d_model], vectors of "
        "heads are [batch, pos, head, d_head], patterns [batch, head, dest, src]; sizes are model.cfg.n_layers, model.cfg.n_heads "
        "and tokens.shape[1].",
    ),
    Hint(
        "none",
        "NoneType",
        "Something is None. A gradient: `.grad` is kept for leaf tensors only, and what a "
        "cache holds is a copy, so add a probe of zeros in a hook and differentiate by it. "
        "Or what a function of yours should have returned.",
    ),
    Hint(
        "attn_result",
        "use_attn_result",
        "Results of single heads are switched off. Patching attn.hook_z, [batch, pos, "
        "head, d_head], does the same, as a result is made of z alone.",
    ),
    Hint(
        "hook_itself",
        "HookPoint",
        "`hook` is the place, not its name: a cache is read with `hook.name`.",
    ),
    Hint(
        "no_f_string",
        r"blocks\.\{\w*\}",
        "The name has braces in it: an f is missing before the string, "
        "f'blocks.{layer}.hook_resid_pre'.",
    ),
    Hint(
        "hooks_no_list",
        "to unpack",
        "`fwd_hooks` is a list of pairs, also for one hook: `[(name, function)]`.",
    ),
    Hint(
        "no_such_hook",
        r"KeyError|hook point|hook_|not found",
        "No activation has that name. Inside a hook function it is `hook.name`; elsewhere "
        "`get_act_name('z', layer)`, in transformer_lens.utils "
        "or (since 4.0) transformer_lens.utilities, gives the right one, "
        "'blocks.0.attn.hook_z'.",
    ),
)


def told(error: BaseException, function: Callable[..., Any]) -> tuple[str | None, str]:
    """The mistake's name if there is a hint for it, and sentences with the line."""
    if isinstance(error, NotImplementedError):
        return "stub", "It is still a stub: write its body, and remove the raise."
    where = _where(error, function)
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    start = f"{RAISED}{said[:300]}{where}."
    for hint in HINTS:
        if re.search(hint.pattern, said):
            return hint.name, f"{start} {hint.sentence}"
    return None, start


def _where(error: BaseException, function: Callable[..., Any]) -> str:
    """The last line that is the student's own."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(innermost(function), "__code__", None)
    own = [f for f in frames if code is not None and f.filename == code.co_filename]
    if not own:
        own = [f for f in frames if not f.filename.startswith(_PACKAGE)][:1]
    if not own:
        return ""
    line = f" `{own[-1].line}`" if own[-1].line else ""
    return f" at your line {own[-1].lineno}{line}"
