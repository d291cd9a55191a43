"""Patching the bundled model by hand: a second opinion, short enough to check by eye.

Independent of the package's engines (tests compare the two). ``Bench`` holds a clean
and a corrupted batch of one length, the runs, and one backward through the corrupted
run; all effects are denoising: 0 as corrupted, 1 as clean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from patchwidget.demo.accuracy import Encode
from patchwidget.demo.cases import Case
from patchwidget.demo.net import Net, Tap
from patchwidget.demo.text import Document

Values = dict[str, Tensor]
HEAD_KINDS = ("z", "q", "k", "v", "pattern")


class Bench:
    """A model and B cases of one length, with everything that is run once.

    Args:
        net: The model, in eval mode.
        cases: Clean and corrupted documents of one length.
        encode: From document to token ids.

    Attributes:
        clean, corrupted: Token ids of the prompts, ``[B, T]``.
        right, wrong: Answer ids, ``[B]``.
    """

    def __init__(self, net: Net, cases: Sequence[Case], encode: Encode) -> None:
        self.net, self.cases = net, cases
        self.layers, self.heads = net.shape.layers, net.shape.heads
        self.end = cases[0].clean.marks["END"]
        clean = [encode(case.clean) for case in cases]
        corrupted = [encode(case.corrupted) for case in cases]
        self.clean, self.corrupted = (
            torch.tensor([row[: self.end + 1] for row in rows])
            for rows in (clean, corrupted)
        )
        self.right = torch.tensor([row[self.end + 1] for row in clean])
        wrong = [encode(_ending_in(case.clean, case.answers[1])) for case in cases]
        self.wrong = torch.tensor([row[self.end + 1] for row in wrong])

    def mark(self, name: str) -> Tensor:
        """Position of a mark in each clean prompt, ``[B]``."""
        return torch.tensor([case.clean.marks[name] for case in self.cases])

    def difference(self, logits: Tensor) -> Tensor:
        """Logit difference at the end, ``[B]``."""
        rows = torch.arange(len(logits))
        last = logits[:, self.end]
        return last[rows, self.right] - last[rows, self.wrong]

    @cached_property
    def clean_values(self) -> Values:
        """Every tapped value of the clean run."""
        return self._values(self.clean)

    @cached_property
    def corrupted_values(self) -> Values:
        """Every tapped value of the corrupted run."""
        return self._values(self.corrupted)

    @cached_property
    def clean_difference(self) -> Tensor:
        """Logit difference of each clean prompt."""
        return self.run(self.clean)

    @cached_property
    def corrupted_difference(self) -> Tensor:
        """Logit difference of each corrupted prompt, right and wrong as in clean."""
        return self.run(self.corrupted)

    @property
    def scale(self) -> Tensor:
        """Mean clean minus mean corrupted difference: what effect 1 is."""
        return (self.clean_difference - self.corrupted_difference).mean()

    def run(self, tokens: Tensor, tap: Tap | None = None) -> Tensor:
        """Logit difference of each prompt under edits made by ``tap``."""
        with torch.no_grad():
            return self.difference(self.net(tokens, tap))

    def effect(self, edits: Mapping[str, Callable[[Tensor, Tensor], None]]) -> float:
        """Effect of writing clean values into the corrupted run.

        Args:
            edits: For each tapped name a function ``(value, clean value)`` that writes
                into ``value`` what it wants of the clean one.
        """

        def tap(name: str, value: Tensor) -> Tensor:
            if name in edits:
                value = value.clone()
                edits[name](value, self.clean_values[name])
            return value

        gain = self.run(self.corrupted, tap) - self.corrupted_difference
        return (gain.mean() / self.scale).item()

    def exact(self, kind: str) -> Tensor:
        """Exact effect of every head, ``[layers, heads]``, over all positions."""
        return torch.tensor(
            [
                [
                    self.effect({f"{layer}.{kind}": _copy_head(kind, head)})
                    for head in range(self.heads)
                ]
                for layer in range(self.layers)
            ]
        )

    def estimate(self, kind: str) -> Tensor:
        """AtP of every head, ``[layers, heads]``: change times gradient, summed."""
        return torch.stack(
            [
                _by_head(kind, self.products[f"{layer}.{kind}"])
                for layer in range(self.layers)
            ]
        )

    @cached_property
    def products(self) -> Values:
        """(clean - corrupted) times the gradient of effect, elementwise."""
        kept: Values = {}

        def tap(name: str, value: Tensor) -> Tensor:
            value = value if value.requires_grad else value.requires_grad_()
            value.retain_grad()
            kept[name] = value
            return value

        with torch.enable_grad():
            metric = self.difference(self.net(self.corrupted, tap)).mean()
            torch.autograd.backward(metric)
        self.net.zero_grad()
        return {
            name: (self.clean_values[name] - value.detach()) * value.grad / self.scale
            for name, value in kept.items()
            if value.grad is not None
        }

    def attention(self, dest: str, src: str) -> Tensor:
        """Mean attention between two marks in the clean run, ``[layers, heads]``."""
        rows = torch.arange(len(self.cases))
        to, of = self.mark(dest), self.mark(src)
        return torch.stack(
            [
                self.clean_values[f"{layer}.pattern"][rows, :, to, of].mean(0)
                for layer in range(self.layers)
            ]
        )

    def written(self, values: Values) -> Tensor:
        """What each head writes into the logit difference, ``[layers, heads]``.

        The final norm's scale is that of the run itself; mean over prompts.
        """
        final = self.net.transformer.ln_f
        end = values[f"{self.layers - 1}.resid_post"][:, self.end]
        spread = (end.var(-1, unbiased=False) + final.eps).sqrt()
        table = self.net.lm_head.weight
        direction = (table[self.right] - table[self.wrong]) * final.weight
        direction = (direction - direction.mean(-1, keepdim=True)) / spread[:, None]
        rows = []
        for layer, block in enumerate(self.net.transformer.blocks):
            out = block.attn.c_proj.weight.view(self.heads, -1, self.net.shape.width)
            z = values[f"{layer}.z"][:, self.end]
            rows.append(torch.einsum("bhe,hed,bd->bh", z, out, direction).mean(0))
        return torch.stack(rows).detach()

    def written_without(self, layer: int, head: int) -> Tensor:
        """:meth:`written` of the clean run with one head's z from the corrupted run."""
        copy = _copy_head("z", head)

        def edit(name: str, value: Tensor) -> Tensor:
            if name == f"{layer}.z":
                value = value.clone()
                copy(value, self.corrupted_values[name])
            return value

        return self.written(self._values(self.clean, edit))

    def _values(self, tokens: Tensor, edit: Tap | None = None) -> Values:
        kept: Values = {}

        def tap(name: str, value: Tensor) -> Tensor:
            kept[name] = edit(name, value) if edit else value
            return kept[name]

        with torch.no_grad():
            self.net(tokens, tap)
        return kept


def at(positions: Tensor, head: int | None = None) -> Callable[[Tensor, Tensor], None]:
    """An edit that copies one position of each prompt (of one head)."""

    def copy(value: Tensor, clean: Tensor) -> None:
        rows = torch.arange(len(value))
        where = (rows, positions) if head is None else (rows, positions, head)
        value[where] = clean[where]

    return copy


def copy_heads(heads: Tensor) -> Callable[[Tensor, Tensor], None]:
    """An edit that copies some heads' z, q, k or v at every position."""

    def copy(value: Tensor, clean: Tensor) -> None:
        value[:, :, heads] = clean[:, :, heads]

    return copy


def pearson(one: Tensor, other: Tensor) -> float:
    """Correlation of two grids."""
    return torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()


def ranked(grid: Tensor, count: int) -> list[tuple[int, int]]:
    """The ``count`` cells that are farthest from zero, the farthest first."""
    order = grid.abs().flatten().argsort(descending=True)[:count].tolist()
    return [divmod(cell, grid.shape[1]) for cell in order]


def _copy_head(kind: str, head: int) -> Callable[[Tensor, Tensor], None]:
    def copy(value: Tensor, clean: Tensor) -> None:
        where = (slice(None), head) if kind == "pattern" else (..., head, slice(None))
        value[where] = clean[where]

    return copy


def _by_head(kind: str, product: Tensor) -> Tensor:
    return product.sum((0, 2, 3) if kind == "pattern" else (0, 1, 3))


def _ending_in(document: Document, answer: str) -> Document:
    tokens = (*document.tokens[: document.answers[-1]], answer)
    return Document(document.task, tokens, document.answers, document.marks)
