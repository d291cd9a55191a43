"""The patching functions: one table, from which each is made under its own name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor

from patchwidget.patching.asked import Asked, Metrics
from patchwidget.patching.forms import Call, Cells, patched_cells, patched_types
from patchwidget.patching.signatures import Every, Sweep
from patchwidget.patching.theirs import theirs

Function = TypeVar("Function", bound=Callable[..., Any])

_ONE = """Patch {what}, cell by cell, and read a metric: `[{shape}]`.

The corrupted prompts are run once for each cell, with the clean run's value put there.
Arguments and returns are those of `transformer_lens.patching.{name}`.{more}

Args:
    model: a `HookedTransformer` or `TransformerBridge`; it is left as it is found.
    corrupted_tokens: token ids `[batch, pos]`.
    clean_cache: activations of the clean run by hook name, edited or not, `[batch, ...]`
        or of a single prompt, which then stands for all.
    patching_metric: a function of the logits `[batch, pos, d_vocab]`, or several by name.
        It returns a scalar, or `[batch]` where `reduce` is not `"scalar"`.
    patch_setter: another way to put a value in. This and the two that follow, where they
        are not this function's own, hand the call to TransformerLens.
    activation_name: what is patched.
    index_axis_names: the axes of the result.
    index_df: a table whose rows are the indices of the cells to patch, in the order of
        the axes. The result then has one value a row.
    return_index_df: whether to return such a table too.
    reduce: `"scalar"`, `"mean"` (metrics of `[batch]`, averaged) or `"none"` (kept).
        This and `baseline` need TransformerLens 4.3.
    baseline: whether to return the unpatched run's value too.

Returns:
    Values of the metric in its own units, `[{shape}]`, on the model's device and in
    torch's default dtype; with `return_index_df` a pair; with `reduce="none"`, `baseline`
    or several metrics a `PatchingResult`.

Raises:
    KeyError: if the cache lacks a hook.
    IndexError: if `index_df` names a cell that the model does not have.
    TypeError: if the model, the tokens, a metric or a cached value is of another kind
        than those above, or `reduce` or `baseline` is not known to the version installed.
    ValueError: if the tokens, a cached value or what a metric returns has another shape
        than needed, if a value or a metric is not finite in a run (which is named), if
        the model has no such activation, lies on several devices, or drops activations
        at random.
    RuntimeError: if a metric raises; the run is named.

Example:
    >>> from patchwidget import demo, patching
    >>> model = demo.load_model()
    >>> pairs = demo.ioi_pairs().on(model)
    >>> _, cache = model.run_with_cache(pairs.clean)
    >>> def logit_diff(logits):
    ...     right, wrong = logits[:, -1].gather(1, pairs.answers).unbind(1)
    ...     return (right - wrong).mean()
    >>> patching.{name}(
    ...     model, pairs.corrupted, cache, logit_diff
    ... ).dim()
    {dim}
"""

_SEVERAL = """Patch {what}, cell by cell, and read a metric: `[{shape}]`.

The corrupted prompts are run once for each cell, with the clean run's value put there.
Arguments and returns are those of `transformer_lens.patching.{name}`.{more}

Args:
    model: a `HookedTransformer` or `TransformerBridge`; it is left as it is found.
    corrupted_tokens: token ids `[batch, pos]`.
    clean_cache: activations of the clean run by hook name, edited or not, `[batch, ...]`
        or of a single prompt, which then stands for all.
    metric: a function of the logits `[batch, pos, d_vocab]`, or several by name.
    **kwargs: `reduce` and `baseline`, as in the functions of one kind.

Returns:
    Values of the metric in its own units, `[{shape}]`; with `reduce="none"`, `baseline`
    or several metrics a `PatchingResult`.

Raises:
    KeyError, TypeError, ValueError, RuntimeError: as the functions of one kind.

Example:
    >>> from patchwidget import demo, patching
    >>> model = demo.load_model()
    >>> pairs = demo.ioi_pairs().on(model)
    >>> _, cache = model.run_with_cache(pairs.clean)
    >>> def logit_diff(logits):
    ...     right, wrong = logits[:, -1].gather(1, pairs.answers).unbind(1)
    ...     return (right - wrong).mean()
    >>> patching.{name}(
    ...     model, pairs.corrupted, cache, logit_diff
    ... ).dim()
    {dim}
"""

_MIDDLE = """

On a `TransformerBridge` this is not what TransformerLens measures: there
`hook_resid_mid` is only the input of the second norm, so that theirs changes what the MLP
reads and leaves the stream as it is. Ours patches the stream, on both classes of model.
Parallel blocks (GPT-NeoX) have no such place: a ValueError."""

_PATTERN = """

On an OPT `TransformerBridge` this is not what TransformerLens measures: there an edit
through `hook_pattern` is discarded, and theirs returns the unpatched value everywhere.
Ours patches the pattern."""

_PADDED = """

Keys and values have fewer heads under grouped queries: as in TransformerLens, zeros stand
for those that do not exist."""


def _sweep(name: str, kind: str, by: str | None, what: str, more: str = "") -> Sweep:
    """The function that patches one kind."""
    cells = Cells(kind, by)

    def get_act_patch(
        model: Any,
        corrupted_tokens: Tensor,
        clean_cache: Any,
        patching_metric: Metrics,
        *,
        patch_setter: Callable[..., Tensor] | None = None,
        activation_name: str = kind,
        index_axis_names: Sequence[str] | None = cells.their_axes,
        index_df: Any = None,
        return_index_df: bool = False,
        reduce: str = "scalar",
        baseline: bool = False,
    ) -> Any:
        asked = Asked.of(patching_metric, reduce=reduce, baseline=baseline)
        own = _own_axes(cells, index_axis_names, index_df)
        if own and patch_setter is None and activation_name == kind:
            call = Call(model, corrupted_tokens, clean_cache, asked, name)
            return patched_cells(
                call, cells, index_df=index_df, return_index_df=return_index_df
            )
        given = {
            "patch_setter": patch_setter,
            "reduce": None if reduce == "scalar" else reduce,
            "baseline": baseline or None,
        }
        return getattr(theirs(), name)(
            model,
            corrupted_tokens,
            clean_cache,
            patching_metric,
            activation_name=activation_name,
            index_axis_names=index_axis_names,
            index_df=index_df,
            return_index_df=return_index_df,
            **{key: value for key, value in given.items() if value is not None},
        )

    words = _words(name, what, more, cells.their_axes)
    return _named(get_act_patch, name, _ONE.format(**words))


def _own_axes(cells: Cells, axes: Sequence[str] | None, index_df: Any) -> bool:
    """Whether the axes are the function's own.

    Raises:
        ValueError: if there is no such axis, or neither axes nor a table.
    """
    if axes is None:
        if index_df is None:
            raise ValueError("give index_axis_names or index_df: which cells to patch")
        return True
    known = ("layer", "pos", "head_index", "head", "src_pos", "dest_pos")
    for axis in axes:
        if axis not in known:
            raise ValueError(f"unknown axis {axis!r}: choose from {', '.join(known)}")
    return tuple(axes) == cells.their_axes


def _every(
    name: str, types: Mapping[str, Cells], order: tuple[str, ...], what: str, more: str
) -> Every:
    """The function that patches several kinds."""

    def get_act_patch(
        model: Any,
        corrupted_tokens: Tensor,
        clean_cache: Any,
        metric: Metrics,
        **kwargs: Any,
    ) -> Any:
        unknown = kwargs.keys() - {"reduce", "baseline"}
        if unknown:
            raise TypeError(
                f"{name} got {', '.join(sorted(unknown))}: beside its four arguments it "
                "takes reduce and baseline"
            )
        asked = Asked.of(metric, **kwargs)
        call = Call(model, corrupted_tokens, clean_cache, asked, name)
        return patched_types(call, types, order)

    words = _words(name, what, more, (str(len(types)), *order))
    return _named(get_act_patch, name, _SEVERAL.format(**words))


def _words(name: str, what: str, more: str, axes: Sequence[str]) -> dict[str, str]:
    """What a function's description is filled in with."""
    shape, dim = ", ".join(axes), str(len(axes))
    return {"name": name, "what": what, "more": more, "shape": shape, "dim": dim}


def _named(function: Function, name: str, doc: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _head_types(by: str | None) -> dict[str, Cells]:
    kinds = {"out": "z", "q": "q", "k": "k", "v": "v"}
    types = {name: Cells(kind, by) for name, kind in kinds.items()}
    return {**types, "pattern": Cells("pattern", "dest" if by else None)}


get_act_patch_resid_pre = _sweep(
    "get_act_patch_resid_pre", "resid_pre", None, "the stream before each block"
)
get_act_patch_resid_mid = _sweep(
    "get_act_patch_resid_mid",
    "resid_mid",
    None,
    "the stream between attention and MLP",
    _MIDDLE,
)
get_act_patch_attn_out = _sweep(
    "get_act_patch_attn_out", "attn_out", None, "what each attention layer writes"
)
get_act_patch_mlp_out = _sweep(
    "get_act_patch_mlp_out", "mlp_out", None, "what each MLP writes"
)

get_act_patch_attn_head_out_by_pos = _sweep(
    "get_act_patch_attn_head_out_by_pos", "z", "pos", "each head's output by position"
)
get_act_patch_attn_head_q_by_pos = _sweep(
    "get_act_patch_attn_head_q_by_pos", "q", "pos", "each head's query by position"
)
get_act_patch_attn_head_k_by_pos = _sweep(
    "get_act_patch_attn_head_k_by_pos", "k", "pos", "each KV head's key by position"
)
get_act_patch_attn_head_v_by_pos = _sweep(
    "get_act_patch_attn_head_v_by_pos", "v", "pos", "each KV head's value by position"
)
get_act_patch_attn_head_pattern_by_pos = _sweep(
    "get_act_patch_attn_head_pattern_by_pos",
    "pattern",
    "dest",
    "each head's pattern by destination",
    _PATTERN,
)
get_act_patch_attn_head_pattern_dest_src_pos = _sweep(
    "get_act_patch_attn_head_pattern_dest_src_pos",
    "pattern",
    "dest_src",
    "each head's pattern by destination and source",
    _PATTERN,
)

get_act_patch_attn_head_out_all_pos = _sweep(
    "get_act_patch_attn_head_out_all_pos", "z", None, "each head's output"
)
get_act_patch_attn_head_q_all_pos = _sweep(
    "get_act_patch_attn_head_q_all_pos", "q", None, "each head's queries"
)
get_act_patch_attn_head_k_all_pos = _sweep(
    "get_act_patch_attn_head_k_all_pos", "k", None, "each KV head's keys"
)
get_act_patch_attn_head_v_all_pos = _sweep(
    "get_act_patch_attn_head_v_all_pos", "v", None, "each KV head's values"
)
get_act_patch_attn_head_pattern_all_pos = _sweep(
    "get_act_patch_attn_head_pattern_all_pos",
    "pattern",
    None,
    "each head's pattern",
    _PATTERN,
)

get_act_patch_attn_head_all_pos_every = _every(
    "get_act_patch_attn_head_all_pos_every",
    _head_types(None),
    ("layer", "head"),
    "each head's output, queries, keys, values and pattern",
    _PADDED + _PATTERN,
)
get_act_patch_attn_head_by_pos_every = _every(
    "get_act_patch_attn_head_by_pos_every",
    _head_types("pos"),
    ("layer", "pos", "head"),
    "each head's output, query, key, value and pattern by position",
    _PADDED + _PATTERN,
)
get_act_patch_block_every = _every(
    "get_act_patch_block_every",
    {kind: Cells(kind) for kind in ("resid_pre", "attn_out", "mlp_out")},
    ("layer", "pos"),
    "the stream before each block and what its attention and MLP write",
    "\n\nThe stream between the two is not among them, so parallel blocks do as well.",
)
