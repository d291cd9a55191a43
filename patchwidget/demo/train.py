"""Train the bundled model: ``python -m patchwidget.demo.train --out DIR``.

Three things on top of next-token training, because a small model left to itself
answers indirect objects without the circuit the tutorials are about:

- text in which the repeated name alone does not tell the answer, and answers that are
  now and then somebody else (``text.py``);
- *attention scaffolding*: for the first 60 % of training some heads are rewarded for
  attending where such a circuit attends. The reward falls to nothing, and the rest of
  training keeps only what pays;
- a small price on large attention scores, against saturated attention.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from patchwidget.demo.net import Net, Shape, save_net
from patchwidget.demo.text import BOS, Document, Writer
from patchwidget.demo.tokenizer import (
    CONTEXT_TOKENS,
    load_tokenizer,
    save_tokenizer,
)

logger = logging.getLogger(__name__)

LONG_EVERY_STEPS = 10
LONG_WORDS = (24, 31)
PLAIN_TOKEN_WEIGHT = 0.05
SCAFFOLD_ENOUGH = 0.6
SCAFFOLD_END = 0.6
LOG_EVERY_STEPS = 50
SAVE_EVERY_STEPS = 500


@dataclass(frozen=True)
class Recipe:
    """All dials of a training run."""

    steps: int = 3000
    documents: int = 64
    seed: int = 0
    rate: float = 1.5e-3
    weight_decay: float = 0.01
    warmup: int = 100
    dropout: float = 0.0
    score_price: float = 0.1
    scaffold: float = 0.3
    screen: float = 0.1


@dataclass(frozen=True)
class Beam:
    """A piece of scaffolding: these heads shall attend from one mark to another."""

    task: str
    dest: str
    src: str
    heads: tuple[tuple[int, int], ...]


SCAFFOLDING = (
    Beam("ioi", "S2", "S1", ((0, 0), (1, 0))),
    Beam("ioi", "END", "S2", ((2, 0), (2, 1), (3, 0))),
    Beam("ioi", "END", "IO", ((3, 1), (4, 0), (4, 1))),
    Beam("fact", "NOUN", "FIRST", ((0, 2),)),
    Beam("fact", "END", "NOUN", ((3, 2), (4, 2))),
    Beam("year", "END", "YY", ((1, 3), (2, 3))),
    Beam("repeat", "NEXT", "SEEN", ((0, 4),)),
    Beam("repeat", "END", "NEXT", ((2, 5), (3, 5))),
)


@dataclass(frozen=True)
class Screen:
    """The other half of scaffolding: only these heads may look at a mark.

    Without it the rewarded heads attend where they should and write nothing, while
    others fetch the name from the word after it, where a previous-token head left it.
    """

    task: str
    mark: str
    heads: tuple[tuple[int, int], ...]


SCREENS = (
    Screen("ioi", "IO", ((3, 1), (4, 0), (4, 1))),
    Screen("fact", "FIRST", ((0, 2),)),
    Screen("fact", "NOUN", ((3, 2), (4, 2))),
    Screen("year", "YY", ((1, 3), (2, 3))),
)


@dataclass(frozen=True)
class Batch:
    """Documents as tensors, padded at the end.

    Attributes:
        tokens: ``[B, T]``.
        weights: ``[B, T]``, how much predicting each token counts.
        chances: ``[N, vocabulary]``, of the answers that are not one token for sure.
        open_rows: the N documents that they belong to.
        documents: what they were made from.
    """

    tokens: Tensor
    weights: Tensor
    chances: Tensor
    open_rows: list[int]
    documents: Sequence[Document]

    def rows(self, task: str) -> list[int]:
        """Where the documents of a task are."""
        return [i for i, d in enumerate(self.documents) if d.task == task]


class Reader:
    """Keeps what the losses need of a forward pass: scores and patterns."""

    def __init__(self) -> None:
        self.scores: list[Tensor] = []
        self.patterns: list[Tensor] = []

    def __call__(self, name: str, value: Tensor) -> Tensor:
        """Keep the value if it is one of these; it goes on unchanged."""
        if name.endswith(".scores"):
            self.scores.append(value)
        elif name.endswith(".pattern"):
            self.patterns.append(value)
        return value


def make_batch(documents: Sequence[Document], ids: dict[str, int]) -> Batch:
    """Pad documents to the longest; answers weigh more than the words between."""
    length = max(len(document.tokens) for document in documents)
    tokens = torch.full((len(documents), length), ids[BOS])
    weights = torch.zeros(len(documents), length)
    open_rows = [row for row, document in enumerate(documents) if document.chances]
    chances = torch.zeros(len(open_rows), max(ids.values()) + 1)
    for row, document in enumerate(documents):
        count = len(document.tokens)
        tokens[row, :count] = torch.tensor([ids[token] for token in document.tokens])
        weights[row, 1:count] = PLAIN_TOKEN_WEIGHT
        weights[row, list(document.answers)] = 0.0 if document.chances else 1.0
    for row, number in zip(chances, open_rows, strict=True):
        likely = documents[number].chances
        row[[ids[token] for token in likely]] = torch.tensor(list(likely.values()))
    return Batch(tokens, weights, chances, open_rows, documents)


def text_loss(net: Net, final: Tensor, batch: Batch) -> Tensor:
    """Weighted mean of the next-token losses.

    Where the generator knows how likely each answer is, the loss is the expected one:
    a drawn answer would teach the same thing with much more noise.
    """
    weights, targets = batch.weights[:, 1:], batch.tokens[:, 1:]
    read = weights > 0
    # Unembedding the padding too would cost as much as a layer.
    logits = net.lm_head(final[:, :-1][read])
    losses = F.cross_entropy(logits, targets[read], reduction="none")
    total, weight = (losses * weights[read]).sum(), weights.sum()
    if batch.open_rows:
        ends = [batch.documents[row].marks["END"] for row in batch.open_rows]
        logits = net.lm_head(final[batch.open_rows, ends])
        total = total + F.cross_entropy(logits, batch.chances, reduction="sum")
        weight = weight + len(ends)
    return total / weight


def answer_losses(net: Net, batches: Sequence[Batch]) -> dict[str, float]:
    """Mean loss of each task's last answers, without dropout; for the log."""
    kept: dict[str, list[float]] = {}
    net.eval()
    for batch in batches:
        with torch.no_grad():
            chances = net(batch.tokens).log_softmax(-1)
        for row, document in enumerate(batch.documents):
            end = document.answers[-1]
            loss = -chances[row, end - 1, batch.tokens[row, end]].item()
            kept.setdefault(document.task, []).append(loss)
    net.train()
    return {task: sum(losses) / len(losses) for task, losses in sorted(kept.items())}


def beam_loss(patterns: Sequence[Tensor], batch: Batch) -> Tensor:
    """Sum over beams of ``-log min(attention, enough)``, averaged over heads."""
    total = torch.zeros(())
    for beam in SCAFFOLDING:
        rows = batch.rows(beam.task)
        if not rows:
            continue
        marks = [batch.documents[row].marks for row in rows]
        dest, src = ([mark[name] for mark in marks] for name in (beam.dest, beam.src))
        paid = [patterns[lay][rows, head, dest, src] for lay, head in beam.heads]
        attention = torch.stack(paid).clamp(1e-6, SCAFFOLD_ENOUGH)
        total = total - attention.log().mean()
    return total


def screen_loss(patterns: Sequence[Tensor], batch: Batch) -> Tensor:
    """Sum over screens of ``-log(1 - attention)`` that others pay to the mark.

    Summed over heads and over the positions from the mark to END, mean over documents.
    """
    total = torch.zeros(())
    for screen in SCREENS:
        rows = batch.rows(screen.task)
        if not rows:
            continue
        stop = torch.tensor([batch.documents[row].marks["END"] for row in rows])
        mark = torch.tensor([batch.documents[row].marks[screen.mark] for row in rows])
        positions = torch.arange(batch.tokens.shape[1])
        after = (positions > mark[:, None]) & (positions <= stop[:, None])
        for layer, pattern in enumerate(patterns):
            others = [
                h for h in range(pattern.shape[1]) if (layer, h) not in screen.heads
            ]
            paid = pattern[rows, :, :, mark][:, others]
            cost = -(1 - paid.clamp(max=1 - 1e-4)).log() * after[:, None]
            total = total + cost.sum() / len(rows)
    return total


def score_price(scores: Sequence[Tensor]) -> Tensor:
    """Mean square of the attention scores that a query can see."""
    seen = torch.ones(scores[0].shape[-2:], dtype=torch.bool).tril()
    return torch.stack([s[..., seen].square().mean() for s in scores]).mean()


def rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate: a short rise, then half a cosine down to a twentieth."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / (recipe.steps - recipe.warmup)
    return recipe.rate * (0.05 + 0.475 * (1 + math.cos(math.pi * done)))


def scaffold_at(step: int, recipe: Recipe) -> float:
    """Weight of the scaffolding: falls in a line, gone at 60 % of training."""
    return recipe.scaffold * max(0.0, 1 - step / (SCAFFOLD_END * recipe.steps))


def documents_at(step: int, writer: Writer, recipe: Recipe) -> list[Document]:
    """The documents of a step; now and then long repeats, to use all positions."""
    if step % LONG_EVERY_STEPS == LONG_EVERY_STEPS - 1:
        count = writer.rng.randint(*LONG_WORDS)
        return [writer.repeat(count) for _ in range(recipe.documents // 2)]
    return [writer.draw() for _ in range(recipe.documents)]


def in_halves(documents: Sequence[Document]) -> list[list[Document]]:
    """The shorter and the longer half: less padding to compute."""
    ordered = sorted(documents, key=lambda document: len(document.tokens))
    middle = len(ordered) // 2
    return [ordered[:middle], ordered[middle:]]


def train(recipe: Recipe, out: Path) -> Net:
    """Train from nothing and leave a model folder in ``out``."""
    torch.manual_seed(recipe.seed)
    save_tokenizer(out)
    tokenizer = load_tokenizer(out)
    ids = {tokenizer.decode([i]): i for i in range(256, len(tokenizer))}
    ids |= {sign: tokenizer.convert_tokens_to_ids(sign) for sign in (BOS, ",", ".")}
    net = Net(Shape(len(tokenizer), CONTEXT_TOKENS), recipe.dropout)
    optimizer = torch.optim.AdamW(
        net.parameters(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    writer, started = Writer(recipe.seed), time.monotonic()
    for step in range(recipe.steps):
        halves = in_halves(documents_at(step, writer, recipe))
        batches = [make_batch(half, ids) for half in halves]
        losses = _step(net, optimizer, batches, step, recipe)
        if step % LOG_EVERY_STEPS == 0 or step == recipe.steps - 1:
            losses |= answer_losses(net, batches)
            shown = " ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
            logger.info("%d %.0fs %s", step, time.monotonic() - started, shown)
        if step and step % SAVE_EVERY_STEPS == 0:
            save_net(net, out / f"step-{step}", patchwidget_recipe=asdict(recipe))
    save_net(net, out, patchwidget_recipe=asdict(recipe))
    return net.eval()


def _step(
    net: Net,
    optimizer: torch.optim.AdamW,
    batches: Sequence[Batch],
    step: int,
    recipe: Recipe,
) -> dict[str, float]:
    optimizer.zero_grad()
    parts: dict[str, float] = {}
    for batch in batches:
        losses = _losses(net, batch, scaffold_at(step, recipe), recipe)
        torch.autograd.backward(torch.stack(list(losses.values())).sum() / len(batches))
        for name, loss in losses.items():
            parts[name] = parts.get(name, 0.0) + loss.item() / len(batches)
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.param_groups[0]["lr"] = rate_at(step, recipe)
    optimizer.step()
    return parts


def _losses(
    net: Net, batch: Batch, scaffold: float, recipe: Recipe
) -> dict[str, Tensor]:
    """All that is made small, each with its weight."""
    reader = Reader()
    losses = {"text": text_loss(net, net.final(batch.tokens, reader), batch)}
    losses["scores"] = recipe.score_price * score_price(reader.scores)
    if scaffold:
        losses["beams"] = scaffold * beam_loss(reader.patterns, batch)
        paid = screen_loss(reader.patterns, batch)
        losses["screens"] = scaffold * recipe.screen * paid
    return losses


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--threads", type=int, help="torch threads")
    for name, value in asdict(Recipe()).items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(value), default=value
        )
    chosen = vars(parser.parse_args(arguments))
    out, threads = chosen.pop("out"), chosen.pop("threads")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if threads:
        torch.set_num_threads(threads)
    train(Recipe(**chosen), out)


if __name__ == "__main__":
    main()
