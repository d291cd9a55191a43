"""Pairs of a clean and a corrupted prompt, checked before anything is computed.

A patch puts values of one run into another *at the same position*, so the two prompts of
a pair must have the same number of tokens, and so must all pairs of a study.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

import torch
from torch import Tensor

from patchwidget.padding import check_padding

Prompts = str | Sequence[str] | Tensor
Answers = Sequence[Any] | Tensor | None


@dataclass(frozen=True, eq=False)
class Pairs:
    """B pairs of prompts of one length T.

    Args:
        clean: the clean prompts: one string, several, or tokens `[B, T]` (or `[T]`).
        corrupted: the corrupted prompts, in the same form.
        answers: for each pair the right and the wrong answer, or the right one alone, as
            strings (with their leading space), token ids, or a tensor `[B, 2]` / `[B, 1]`.
        labels: names for positions, counted with the BOS token: `{"S2": 10}`.
        position: the position at which the answer is read; -1 is the last.

    Raises:
        ValueError: if there are not as many clean prompts as corrupted ones or answers.

    Example:
        >>> pairs = Pairs(
        ...     "When Tom and James met, James spoke to",
        ...     "When Tom and James met, Tom spoke to",
        ...     answers=[(" Tom", " James")],
        ... )
        >>> len(pairs)
        1
    """

    clean: Prompts
    corrupted: Prompts
    answers: Answers = field(default=None, kw_only=True)
    labels: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    position: int = field(default=-1, kw_only=True)

    def __post_init__(self) -> None:
        clean, corrupted = _batch(self.clean), _batch(self.corrupted)
        object.__setattr__(self, "clean", clean)
        object.__setattr__(self, "corrupted", corrupted)
        object.__setattr__(self, "labels", dict(self.labels or {}))
        if len(clean) != len(corrupted):
            raise ValueError(
                f"{len(clean)} clean prompts but {len(corrupted)} corrupted: "
                "each clean prompt needs its own corrupted one"
            )
        if len(clean) == 0:
            raise ValueError("there are no prompts")
        answers = _answer_rows(self.answers, len(clean))
        if answers is not None and len(answers) != len(clean):
            raise ValueError(f"{len(answers)} answers for {len(clean)} pairs")
        object.__setattr__(self, "answers", answers)

    def __len__(self) -> int:
        return len(self.clean)

    def on(self, model: Any) -> TokenPairs:
        """These pairs as tokens of `model`.

        Raises:
            ValueError: if the token counts differ (both rows are shown), prompts are
                padded or only some begin with BOS, an answer is not one token, or a
                position does not exist.
        """
        clean, corrupted = _tokens(model, self.clean), _tokens(model, self.corrupted)
        answers = _answer_ids(model, self.answers)
        # First of all: what is not in the vocabulary has no text to be shown.
        _check_ids(model, "clean", clean)
        _check_ids(model, "corrupted", corrupted)
        _check_ids(model, "answers", () if answers is None else answers)
        rows = list(zip(clean, corrupted, strict=True))
        # Padding tells more than the lengths that it made equal, or not.
        check_padding(getattr(model, "tokenizer", None), rows)
        _check_lengths(model, rows)
        return TokenPairs(
            clean=torch.stack(clean),
            corrupted=torch.stack(corrupted),
            answers=answers,
            labels=dict(self.labels),
            position=self.position,
            text=tuple(
                (token_strings(model, a), token_strings(model, b)) for a, b in rows
            ),
            answer_text=() if answers is None else _answer_strings(model, answers),
        )


def pairs_of(
    pairs: Pairs | Prompts, corrupted: Prompts | None, answers: Answers, *, alone: bool
) -> Pairs:
    """Pairs as a study is given them: made already, or as prompts.

    Args:
        pairs: a `Pairs`, or the clean prompts.
        corrupted: the corrupted prompts, if `pairs` are the clean ones.
        answers: the answers, if `pairs` are the clean prompts.
        alone: whether clean prompts do without corrupted ones.

    Raises:
        ValueError: if a `Pairs` comes with prompts or answers, or prompts are missing.
    """
    if isinstance(pairs, Pairs):
        if corrupted is not None or answers is not None:
            raise ValueError("give either a Pairs, or prompts and answers, not both")
        return pairs
    if corrupted is None and not alone:
        raise ValueError("the corrupted prompts are missing")
    return Pairs(pairs, pairs if corrupted is None else corrupted, answers=answers)


@dataclass(frozen=True, eq=False)
class TokenPairs:
    """Pairs as tokens on a model's device.

    Attributes:
        clean, corrupted: token ids `[B, T]`.
        answers: token ids `[B, 2]` (right, wrong), `[B, 1]` (right) or None.
        labels: names of positions.
        position: where the answer is read, from 0.
        text: for each pair the clean and the corrupted token strings.
        answer_text: for each pair the answers' strings; empty without answers.
    """

    clean: Tensor
    corrupted: Tensor
    answers: Tensor | None
    labels: dict[str, int]
    position: int
    text: tuple[tuple[list[str], list[str]], ...]
    answer_text: tuple[list[str], ...]

    def __post_init__(self) -> None:
        length = self.clean.shape[1]
        # Numpy integers and 0-d tensors would not travel to a page.
        named = {name: index(place) for name, place in self.labels.items()}
        read = index(self.position)
        for name, position in {**named, "of the answer": read}.items():
            if not -length <= position < length:
                raise ValueError(
                    f"position {name} = {position} is not in prompts of {length} tokens"
                )
        object.__setattr__(self, "position", read % length)
        labels = {name: position % length for name, position in named.items()}
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.clean)


def _batch(prompts: Prompts) -> Sequence[str] | Tensor:
    if hasattr(prompts, "__array__"):
        prompts = torch.as_tensor(prompts)
    if isinstance(prompts, Tensor):
        if not _holds_ids(prompts) or prompts.dim() not in (1, 2):
            raise ValueError(
                "token tensors are whole numbers [pairs, positions], got "
                f"{prompts.dtype} {list(prompts.shape)}"
            )
        # A clone leaves inference mode, in which such tensors could not be used later.
        tokens = prompts.detach().clone()
        return tokens[None] if tokens.dim() == 1 else tokens
    if isinstance(prompts, str):
        return (prompts,)
    prompts = tuple(prompts)
    for prompt in prompts:
        if not isinstance(prompt, str):
            raise ValueError(f"a prompt is text or a token tensor, got {prompt!r}")  # noqa: TRY004 - bad input is one error class here
    return prompts


def _answer_rows(answers: Answers, count: int) -> Sequence[Any] | Tensor | None:
    if answers is None:
        return None
    if hasattr(answers, "__array__"):
        answers = torch.as_tensor(answers)
    if isinstance(answers, Tensor):
        rows = answers.detach().clone()
        if rows.dim() == 1:
            # Right and wrong of one pair, or the right one of each.
            rows = rows[None] if count == 1 and len(rows) == 2 else rows[:, None]
        if not _holds_ids(rows) or rows.dim() != 2 or rows.shape[1] not in (1, 2):
            raise ValueError(
                "answers are token ids [pairs, 2] (right, wrong) or [pairs, 1], got "
                f"{answers.dtype} {list(answers.shape)}"
            )
        return rows
    # One answer of one pair: taken as a list it would be spelled out.
    answers = [answers] if isinstance(answers, str) else list(answers)
    if count == 1 and len(answers) == 2 and not _is_row(answers[0]):
        answers = [answers]
    return [tuple(row) if _is_row(row) else (row,) for row in answers]


def _holds_ids(tokens: Tensor) -> bool:
    return not (tokens.is_floating_point() or tokens.dtype == torch.bool)


def _is_row(answer: object) -> bool:
    return isinstance(answer, (tuple, list)) or (
        isinstance(answer, Tensor) and answer.dim() == 1
    )


def _device(model: Any) -> torch.device:
    """Where the model is: its configuration may not know of a later `.to(device)`."""
    device: torch.device = next(model.parameters()).device
    return device


def _tokens(model: Any, prompts: Sequence[str] | Tensor) -> list[Tensor]:
    device = _device(model)
    if isinstance(prompts, Tensor):
        return list(prompts.to(device=device, dtype=torch.long))
    if getattr(model, "tokenizer", None) is None:
        raise ValueError(
            "the model has no tokenizer: give the prompts as token tensors"
        )
    # One by one: handed a list, TransformerLens pads to the longest without a word.
    return [
        model.to_tokens(prompt, truncate=False)[0].clone().to(device)
        for prompt in prompts
    ]


def tokens_of(model: Any, prompts: Prompts) -> list[Tensor]:
    """Tokens `[T]` of each prompt, which need not be of one length.

    Args:
        model: the user's.
        prompts: one string, several, or tokens `[B, T]` (or `[T]`).

    Raises:
        ValueError: if they are neither, or a token is not in the model's vocabulary.
    """
    rows = _tokens(model, _batch(prompts))
    _check_ids(model, "the prompts", rows)
    return rows


def token_strings(model: Any, row: Tensor) -> list[str]:
    """Each token's text; its number where there is no tokenizer."""
    if getattr(model, "tokenizer", None) is None:
        return [str(int(token)) for token in row]
    return [str(token) for token in model.to_str_tokens(row)]


def _check_lengths(model: Any, rows: list[tuple[Tensor, Tensor]]) -> None:
    n_ctx = getattr(model.cfg, "n_ctx", None)
    for number, (clean, corrupted) in enumerate(rows):
        if n_ctx is not None and len(clean) > n_ctx:
            raise ValueError(
                f"prompts have {len(clean)} tokens, the model takes {n_ctx}"
            )
        if len(clean) != len(corrupted):
            raise ValueError(
                f"pair {number}: the clean prompt has {len(clean)} tokens, the "
                f"corrupted one {len(corrupted)}; a patch needs them position by "
                f"position.\n{_aligned(token_strings(model, clean), token_strings(model, corrupted))}"
            )
        if len(clean) != len(rows[0][0]):
            raise ValueError(
                f"pair {number} has {len(clean)} tokens and pair 0 has "
                f"{len(rows[0][0])}; all pairs of a study have one length.\n"
                + _aligned(
                    token_strings(model, rows[0][0]),
                    token_strings(model, clean),
                    names=("pair 0", f"pair {number}"),
                )
            )


def _aligned(
    first: list[str], second: list[str], names: tuple[str, str] = ("clean", "corrupted")
) -> str:
    """Two rows of tokens one above the other, the first difference marked."""
    differing = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
    cells = [
        [repr(row[i])[1:-1] if i < len(row) else "" for row in (first, second)]
        for i in range(max(len(first), len(second)))
    ]
    widths = [max(map(len, cell)) for cell in cells]
    margin = max(map(len, names))
    lines = [
        f"{name:>{margin}}: "
        + "|".join(
            f"{cell[row]:{width}}" for cell, width in zip(cells, widths, strict=True)
        )
        for row, name in enumerate(names)
    ]
    offset = margin + 2 + sum(widths[:differing]) + differing
    return "\n".join(
        [*lines, " " * offset + f"^ first difference, position {differing}"]
    )


def _answer_ids(model: Any, answers: Sequence[Any] | Tensor | None) -> Tensor | None:
    if answers is None:
        return None
    device = _device(model)
    if isinstance(answers, Tensor):
        return answers.to(device=device, dtype=torch.long)
    widths = {len(row) for row in answers}
    if len(widths) != 1 or not widths <= {1, 2}:
        raise ValueError(
            "each pair needs one answer (right) or two (right, wrong), "
            f"got rows of {sorted(widths)}"
        )
    ids = [[_answer_id(model, answer) for answer in row] for row in answers]
    return torch.tensor(ids, device=device)


def _answer_id(model: Any, answer: Any) -> int:
    if not isinstance(answer, str):
        try:
            return index(answer)
        except TypeError as error:
            raise ValueError(
                f"an answer is text or a token id, got {answer!r}"
            ) from error
    if getattr(model, "tokenizer", None) is None:
        raise ValueError(f"the model has no tokenizer: give {answer!r} as a token id")
    tokens = model.to_tokens(answer, prepend_bos=False)[0]
    if len(tokens) == 1:
        return int(tokens[0])
    parts = ", ".join(map(repr, token_strings(model, tokens)))
    hint = "" if answer.startswith(" ") else "; was a leading space meant?"
    raise ValueError(
        f"the answer {answer!r} is {len(tokens)} tokens ({parts}), one is needed{hint}"
    )


def _answer_strings(model: Any, answers: Tensor) -> tuple[list[str], ...]:
    return tuple(token_strings(model, row) for row in answers)


def _check_ids(model: Any, name: str, rows: Iterable[Tensor]) -> None:
    size = model.cfg.d_vocab
    for ids in rows:
        outside = ids[(ids < 0) | (ids >= size)]
        if len(outside):
            raise ValueError(
                f"{name}: token {int(outside[0])} is not in a vocabulary of {size}"
            )
