"""Print the figures of the model card: ``python -m patchwidget.demo.measure``.

With ``--write`` the block between the two marks in ``card.md`` is replaced, so that
no figure on the card is ever typed by hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from patchwidget.demo.accuracy import encoder, task_figures
from patchwidget.demo.figures import (
    GROUPS,
    HeadFigure,
    IoiFigures,
    TaskFigures,
    fact_figures,
    induction_figures,
    ioi_figures,
    year_figures,
)
from patchwidget.demo.net import load_net
from patchwidget.demo.tokenizer import MODEL_DIR, load_tokenizer

CARD = Path(__file__).parent / "card.md"
START, STOP = "<!-- figures: start -->", "<!-- figures: stop -->"


@dataclass(frozen=True)
class Measured:
    """Everything on the card."""

    tasks: dict[str, float]
    ioi: IoiFigures
    facts: TaskFigures
    years: TaskFigures
    induction: TaskFigures
    parameters: int
    megabytes: float


def measure(folder: Path = MODEL_DIR) -> Measured:
    """Measure a model folder; about a quarter of a minute."""
    net, encode = load_net(folder), encoder(load_tokenizer(folder))
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return Measured(
        tasks=task_figures(net, encode),
        ioi=ioi_figures(net, encode),
        facts=fact_figures(net, encode),
        years=year_figures(net, encode),
        induction=induction_figures(net, encode),
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        megabytes=size / 1e6,
    )


def render(measured: Measured) -> str:
    """The figures as Markdown."""
    parts = [
        _tasks(measured.tasks),
        _ioi(measured.ioi),
        _task("Facts", measured.facts, "END to NOUN", "NOUN to FIRST"),
        _task("Years", measured.years, "END to YY"),
        _task("Induction", measured.induction, "END to NEXT", "NEXT to SEEN"),
        _size(measured),
    ]
    return "\n\n".join(parts)


def write_card(text: str, path: Path = CARD) -> None:
    """Put the figures between the marks of the card."""
    card = path.read_text(encoding="utf-8")
    before, _, rest = card.partition(START)
    after = rest.partition(STOP)[2]
    path.write_text(f"{before}{START}\n{text}\n{STOP}{after}", encoding="utf-8")


def _tasks(figures: dict[str, float]) -> str:
    rows = [f"| {name} | {100 * value:.1f} % |" for name, value in figures.items()]
    head = "| task, on what training never showed | measured |\n|---|---|\n"
    return "### Tasks\n\n" + head + "\n".join(rows)


def _ioi(figures: IoiFigures) -> str:
    correlation = ", ".join(f"{k} {v:.2f}" for k, v in figures.correlation.items())
    hidden, take = figures.hidden_query, figures.take_over
    held = set(figures.true_five) <= set(figures.estimated_ten)
    lines = [
        "### Indirect objects (corrupted: the other one gives)",
        "",
        _differences(figures),
        (
            "Share of the clean one written by the name movers: "
            f"{figures.written_by_name_movers:.2f}."
        ),
        "",
        "| group | head | attention | kind | exact effect | AtP |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {h.name} | {dest} to {src} {h.attention:.2f} | {kind} "
            f"| {h.exact:.2f} | {h.estimate:.2f} |"
            for name, (dest, src, kind) in GROUPS.items()
            for h in figures.groups[name]
        ),
        "",
        f"AtP against exact, Pearson over all heads: {correlation}.",
        f"The five strongest heads by z: {', '.join(figures.true_five)}.",
        (
            f"AtP's first ten by z: {', '.join(figures.estimated_ten)}; they "
            f"{'hold' if held else 'do not hold'} all of the true five."
        ),
        (
            f"The query of {hidden.name} at S2 alone: exact {hidden.exact:.2f}, "
            f"AtP {hidden.estimate:.3f}."
        ),
        (
            f"With {take.ablated} resample-ablated, {take.head} writes "
            f"{take.after:+.2f} of logit difference instead of {take.before:+.2f}."
        ),
    ]
    return "\n".join(lines)


def _differences(figures: IoiFigures | TaskFigures) -> str:
    return (
        f"Logit difference: clean {figures.clean:.2f}, "
        f"corrupted {figures.corrupted:.2f}."
    )


def _task(title: str, figures: TaskFigures, attends: str, moves: str = "") -> str:
    lines = [
        f"### {title}",
        "",
        _differences(figures),
        "",
        *_heads(f"attention {attends}", figures.heads),
    ]
    lines += [
        "",
        (f"All heads that attend {attends}, patched together: {figures.together:.2f}."),
    ]
    if figures.movers:
        lines += ["", *_heads(f"attention {moves}", figures.movers)]
    lines += ["", "| MLP outputs patched | exact effect |", "|---|---|"]
    lines += [f"| {name} | {value:.2f} |" for name, value in figures.mlps.items()]
    return "\n".join(lines)


def _size(measured: Measured) -> str:
    count, size = measured.parameters, measured.megabytes
    return f"### Size\n\n{count:,} parameters, {size:.1f} MB on disk."


def _heads(attends: str, heads: Sequence[HeadFigure]) -> list[str]:
    return [
        f"| head | {attends} | exact effect of z | AtP |",
        "|---|---|---|---|",
        *(
            f"| {h.name} | {h.attention:.2f} | {h.exact:.2f} | {h.estimate:.2f} |"
            for h in heads
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODEL_DIR, help="model folder")
    parser.add_argument("--write", action="store_true", help="put them in card.md")
    chosen = parser.parse_args(arguments)
    # One thread: sums in one order, the same figures on every number of cores.
    torch.set_num_threads(1)
    text = render(measure(chosen.model))
    print(text)  # noqa: T201 - the command's output
    if chosen.write:
        write_card(text)


if __name__ == "__main__":
    main()
