"""Is the model still the one that a study ran?"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from math import gcd, prod
from time import monotonic
from typing import Any, NoReturn, TypeVar, cast

import torch
from torch import Tensor

from patchwidget.decoder import difference
from patchwidget.engines import fingerprint, refuse_dropout
from patchwidget.runs import Runs, computing

# Running the model costs as much as a patch or two: it may take a hundredth of the time.
ASK_MODEL_EVERY_S = 2.0
_SHARE = 0.01
# Fewer numbers of a weight cost as much time as these.
_LEAST_SAMPLES = 512
# Only an unembedding has more columns: one for every token.
_MOST_COLUMNS = 2**14
S = TypeVar("S")
T = TypeVar("T")


class Watch:
    """Notices that weights or hooks of a model changed since its runs were captured.

    Three looks, from cheap to sure. Which tensors the weights are, how often torch saw
    them change, and whose hooks there are. Some numbers of every weight (see `_sample`),
    since a change through `.data` is not counted: one of few numbers between two looks
    that is undone before the second is not noticed. The logits, but at most every two seconds, and rarer
    where asking takes long: at once where a module was replaced.
    """

    def __init__(self, model: Any, runs: Runs) -> None:
        self._model, self._n_layers = model, runs.extent.n_layers
        self._guarded, self._refused = [runs], 0
        self._fingerprint = fingerprint(model)
        self._remember()
        self._samples = [sample for p in model.parameters() for sample in _sample(p)]
        self._numbers = self._sampled()
        self._logits = cast("Tensor", runs.base.witness)  # `engines.captured` asked
        self._tokens = runs.base_tokens[: len(self._logits)]
        self._ask_at = monotonic() + ASK_MODEL_EVERY_S  # it was asked just now

    def guard(self, runs: Runs) -> None:
        """Other runs of the same model that keep nothing once it is another."""
        self._guarded.append(runs)

    def check(self) -> None:
        """Refuse to go on with a model that changed.

        Raises:
            RuntimeError: if its weights, hooks or logits are not those of the captured runs.
            ValueError: if it drops activations at random.
        """
        is_other = self._glance() != self._glanced
        if self._trains or is_other:
            self._look()
            self._remember()
        if is_other:
            self._ask_at = 0.0  # a module may stand in for another that is still there
        self.check_weights()
        started = monotonic()
        if started >= self._ask_at:
            self._ask_model()
            took = monotonic() - started
            self._ask_at = started + max(ASK_MODEL_EVERY_S, took / _SHARE)

    def check_weights(self) -> None:
        """Refuse to go on with weights that changed: all that the decoder's steps read.

        Raises:
            RuntimeError: if they are not those of the captured runs.
        """
        if self._states() != self._versions or not self._are_as_sampled():
            self._refuse("the model's weights changed since this study ran it")

    def over(self, steps: Generator[S, None, T]) -> Generator[S, None, T]:
        """Steps of the decoder between which others have their turn.

        Raises:
            RuntimeError: if the weights were others during a step, also if they are not
                by now; or if anybody saw meanwhile that the model was another.
        """
        refused = self._refused
        with closing(steps):
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    return cast("T", end.value)
                finally:
                    self.check_weights()
                    self._go_on(refused)
                yield step

    def _look(self) -> None:
        """Whether what changed matters: libraries put hooks on a model too."""
        refuse_dropout(self._model)
        if fingerprint(self._model) != self._fingerprint:
            self._refuse("the model's weights or hooks changed since this study ran it")

    def _remember(self) -> None:
        # Kept, not only their ids, which Python gives again to what comes after.
        self._modules = list(self._model.modules())
        self._weights = list(self._model.parameters())
        self._versions = self._states()
        self._trains = any(module.training for module in self._modules)
        self._glanced = self._glance()

    def _glance(self) -> list[tuple[int, ...]]:
        """All that `_look` could find, as bare numbers: looking takes five times as long."""
        parts = [
            (
                module.training,
                *map(id, module._modules.values()),  # noqa: SLF001 - quicker than children()
                *map(id, module._parameters.values()),  # noqa: SLF001 - the same
                *module._forward_hooks,  # noqa: SLF001 - see `hooks.user_hooks`
                *module._forward_pre_hooks,  # noqa: SLF001 - the same
                *module._backward_hooks,  # noqa: SLF001 - the same
            )
            for module in self._modules
        ]
        return parts + self._states()

    def _states(self) -> list[tuple[int, ...]]:
        return [(p.data_ptr(), p._version) for p in self._weights]  # noqa: SLF001 - see `engines.fingerprint`

    def _sampled(self) -> Tensor:
        with computing():
            return torch.cat(self._samples)

    def _are_as_sampled(self) -> bool:
        now, then = self._sampled(), self._numbers
        # A NaN in a row that no prompt reads is unlike itself.
        return torch.equal(now, then) or torch.equal(
            now.nan_to_num(), then.nan_to_num()
        )

    def _ask_model(self) -> None:
        with computing():
            now = self._model(self._tokens, return_type="logits")
            found = difference(self._logits, now, self._n_layers)
        if found is not None:
            self._refuse(
                f"the model's logits differ from those this study captured {found}"
            )

    def _go_on(self, refused: int) -> None:
        """Refuse if what was kept is forgotten since: what is under way rests on it."""
        if self._refused != refused:
            raise _misfit("the model changed for a while since this study ran it")

    def _refuse(self, what: str) -> NoReturn:
        # An earlier look may have missed it.
        for runs in self._guarded:
            runs.forget()
        self._refused += 1
        raise _misfit(what)


def _sample(weight: Tensor) -> list[Tensor]:
    """A view of some numbers of a weight, where its memory is one block.

    They lie equally far apart, so far that every column in memory has one (of an
    unembedding, one in some); of a stack of heads, every head has as many as its shorter
    side. Where a weight has at least as many columns as rows, every row has one too. What
    is missed: a change of single numbers, of some rows of a tall weight, of one head's
    part of a row, of single tokens.
    """
    weight = weight.detach()
    if not weight.numel() or not (weight.is_contiguous() or weight.mT.is_contiguous()):
        return []
    by_row = weight if weight.is_contiguous() else weight.mT
    *stacked, rows, columns = (1, 1, *by_row.shape)
    wanted = max(_LEAST_SAMPLES, min(columns, _MOST_COLUMNS))
    wanted = max(wanted, prod(stacked) * min(rows, columns))
    step = max(1, weight.numel() // wanted)
    while gcd(step, columns) > 1:  # else they would stand in some of the columns only
        step -= 1
    return [weight.as_strided((-(-weight.numel() // step),), (step,))]


def _misfit(what: str) -> RuntimeError:
    return RuntimeError(
        f"{what}, so its results would not fit together: make a new PatchStudy"
    )
