"""What a type checker is told of the patching functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, overload

from torch import Tensor

from patchwidget.patching.asked import MetricFunction, Metrics


class Sweep(Protocol):
    """A function that patches one kind of activation."""

    @overload
    def __call__(
        self,
        model: Any,
        corrupted_tokens: Tensor,
        clean_cache: Any,
        patching_metric: MetricFunction,
        *,
        patch_setter: Callable[..., Tensor] | None = ...,
        activation_name: str = ...,
        index_axis_names: Sequence[str] | None = ...,
        index_df: Any = ...,
        return_index_df: Literal[False] = ...,
        reduce: Literal["scalar", "mean"] = ...,
        baseline: Literal[False] = ...,
    ) -> Tensor: ...

    @overload
    def __call__(
        self,
        model: Any,
        corrupted_tokens: Tensor,
        clean_cache: Any,
        patching_metric: Metrics,
        *,
        patch_setter: Callable[..., Tensor] | None = ...,
        activation_name: str = ...,
        index_axis_names: Sequence[str] | None = ...,
        index_df: Any = ...,
        return_index_df: bool = ...,
        reduce: str = ...,
        baseline: bool = ...,
    ) -> Any: ...


class Every(Protocol):
    """A function that patches several kinds of activations."""

    @overload
    def __call__(
        self,
        model: Any,
        corrupted_tokens: Tensor,
        clean_cache: Any,
        metric: MetricFunction,
    ) -> Tensor: ...

    @overload
    def __call__(
        self,
        model: Any,
        corrupted_tokens: Tensor,
        clean_cache: Any,
        metric: Metrics,
        **kwargs: Any,
    ) -> Any: ...
