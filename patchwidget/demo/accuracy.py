"""How often the bundled model is right on what training never showed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from patchwidget.demo.facts import CARRIERS, FACTS, is_held_out
from patchwidget.demo.net import Net
from patchwidget.demo.templates import (
    HELD_OUT_TEMPLATES,
    IOI_TEMPLATES,
    YEAR_TEMPLATES,
)
from patchwidget.demo.text import (
    BOS,
    Document,
    Writer,
    fact_document,
    ioi_document,
    two_pair_document,
    year_document,
    year_is_held_out,
)
from patchwidget.demo.words import CENTURIES, EVENTS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Encode = Callable[[Document], list[int]]
CHUNK = 128


def encoder(tokenizer: PreTrainedTokenizerFast) -> Encode:
    """From a document to token ids with BOS, by way of its text as a user's would be."""
    bos = tokenizer.convert_tokens_to_ids(BOS)
    return lambda document: [bos, *tokenizer(document.text)["input_ids"]]


def answer_logits(net: Net, documents: Sequence[Document], encode: Encode) -> Tensor:
    """Logits ``[N, vocabulary]`` at every answer of every document, in order."""
    ids = [torch.tensor(encode(document)) for document in documents]
    # Padding stands after everything that is read, where causal attention hides it.
    tokens = pad_sequence(ids, batch_first=True)
    rows = []
    with torch.no_grad():
        for start in range(0, len(tokens), CHUNK):
            logits = net(tokens[start : start + CHUNK])
            for row, document in zip(logits, documents[start:], strict=False):
                rows.append(row[[answer - 1 for answer in document.answers]])
    return torch.cat(rows)


def top_one(net: Net, documents: Sequence[Document], encode: Encode) -> float:
    """Share of answers that get the highest logit of the whole vocabulary."""
    said = answer_logits(net, documents, encode).argmax(-1).tolist()
    right = [encode(d)[answer] for d in documents for answer in d.answers]
    hits: int = sum(a == b for a, b in zip(said, right, strict=True))
    return hits / len(right)


def ioi_documents(templates: Sequence[str], count: int, seed: int) -> list[Document]:
    """One-pair sentences about people who never meet in training."""
    writer, documents = Writer(seed), []
    for _ in range(count):
        pair = writer.pair(held_out=True)
        template, subject = writer.rng.choice(templates), writer.rng.choice(pair)
        documents.append(ioi_document(template, pair, subject, writer.rng))
    return documents


def two_pair_documents(count: int, seed: int) -> list[Document]:
    """Two-pair sentences; both pairs never meet in training."""
    writer = Writer(seed)
    documents: list[Document] = []
    while len(documents) < count:
        pairs = (writer.pair(held_out=True), writer.pair(held_out=True))
        if len({*pairs[0], *pairs[1]}) == 4:
            giver = writer.rng.choice("ABCD")
            documents.append(two_pair_document(pairs, giver, writer.rng))
    return documents


def fact_documents() -> list[Document]:
    """Every fact in every carrier sentence it was kept out of."""
    return [
        fact_document(fact, carrier)
        for fact in FACTS
        for carrier in range(len(CARRIERS))
        if is_held_out(fact, carrier)
    ]


def year_documents() -> list[Document]:
    """Every held-out event, century and year, in the first sentence."""
    return [
        year_document(YEAR_TEMPLATES[0], event, century, (year, year + 1))
        for event in EVENTS
        for century in CENTURIES
        for year in range(1, 99)
        if year_is_held_out(event, century, year)
    ]


def later_mass(net: Net, documents: Sequence[Document], encode: Encode) -> Tensor:
    """Probability given to all later years of the century, for each document."""
    digits = [Document("year", (BOS, f"{n:02d}"), (1,), {}) for n in range(100)]
    years = torch.tensor([encode(each)[1] for each in digits])
    mass = answer_logits(net, documents, encode).softmax(-1)[:, years]
    starts = torch.tensor([int(d.tokens[d.marks["YY"]]) for d in documents])
    later = torch.arange(100) > starts[:, None]
    return (mass * later).sum(-1)


def induction_documents(
    count: int, seed: int, words: int | None = None
) -> list[Document]:
    """Held-out random words (6 to 12, or as many as said), repeated."""
    writer = Writer(seed)
    return [writer.repeat(words, held_out=True) for _ in range(count)]


def task_figures(net: Net, encode: Encode, count: int = 1000) -> dict[str, float]:
    """All task figures of the card, as shares of 1."""
    years = later_mass(net, year_documents(), encode)
    ioi = ioi_documents(IOI_TEMPLATES, count, seed=1)
    unseen = ioi_documents(HELD_OUT_TEMPLATES, count, seed=2)
    return {
        "IOI, held-out people": top_one(net, ioi, encode),
        "IOI, held-out people in held-out sentences": top_one(net, unseen, encode),
        "IOI, two held-out pairs": top_one(net, two_pair_documents(count, 3), encode),
        "facts, held-out sentences": top_one(net, fact_documents(), encode),
        "years, mean probability of later": years.mean().item(),
        "years, least probability of later": years.min().item(),
        "induction, held-out words": top_one(net, induction_documents(200, 4), encode),
        "induction, thirty held-out words": top_one(
            net, induction_documents(50, 5, words=30), encode
        ),
    }
