"""Which engine runs a model, and whether it is still the model that was run.

The decoder stands for a model that it covers, that carries nobody's hooks, and whose
logits it reproduces on the study's own prompts. Otherwise the model's own hooks do the
work, and a line says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from patchwidget.decoder import (
    HALF,
    Decoder,
    UncoveredError,
    disagreement,
)
from patchwidget.finite import refuse_infinite
from patchwidget.hooks import HookedModel, user_hooks
from patchwidget.pairs import TokenPairs
from patchwidget.runs import Capture, Direction, Engine, capture


def captured(
    model: Any, pairs: TokenPairs, direction: Direction
) -> tuple[Engine, Capture, Capture, str | None]:
    """Both runs, by the decoder if it may stand for the model; else by hooks, and why.

    Args:
        model: the user's.
        pairs: the prompts.
        direction: which of the runs is the base, and comes with its graph.

    Raises:
        ValueError: see `captured_runs`.
    """
    prompts = {"clean": pairs.clean, "corrupted": pairs.corrupted}
    base = "corrupted" if direction == "denoising" else "clean"
    engine, runs, notice = captured_runs(model, prompts, graph_of=base)
    return engine, runs["clean"], runs["corrupted"], notice


def captured_runs(
    model: Any, prompts: Mapping[str, Tensor], graph_of: str | None = None
) -> tuple[Engine, dict[str, Capture], str | None]:
    """Runs of tokens `[B, T]` by what the runs are called, all by one engine.

    Args:
        model: the user's.
        prompts: tokens by name.
        graph_of: name of the run that is kept with its graph, if there is one.

    Returns:
        The engine, its runs, and if it is not the decoder a line that says why.

    Raises:
        ValueError: if a run has a value that is not a number or infinite: the first such
            node is named.
    """
    engine, reason = choose(model)
    runs = _runs(engine, prompts, graph_of)
    if isinstance(engine, Decoder):
        theirs = [model(t, return_type="logits") for t in prompts.values()]
        found = _disagreement(engine, runs, prompts, theirs)
        if found is None:
            refuse_infinite(runs)
            return engine, _witnessed(model, runs, prompts, theirs), None
        reason, engine = found, HookedModel(model)
        runs = _runs(engine, prompts)
    # All rows, since a user's hooks may read the batch as a whole.
    runs = {
        name: replace(run, witness=run.readout.logits()) for name, run in runs.items()
    }
    refuse_infinite(runs)
    return engine, runs, _notice(reason)


def agreeing(model: Any, engine: Engine, tokens: Tensor) -> tuple[Engine, str | None]:
    """The engine for prompts it was not checked on: the model's hooks if it is off there.

    Args:
        model: the user's.
        engine: what runs it so far.
        tokens: some of these prompts, `[N, T]`.

    Returns:
        An engine, and if it is another than was given a line that says why.
    """
    if not isinstance(engine, Decoder):
        return engine, None
    ours = engine.run(tokens).logits()
    theirs = model(tokens, return_type="logits")
    found = disagreement(engine.weights, [tokens], [ours], [theirs])
    if found is None:
        return engine, None
    return HookedModel(model), _notice(_off(found), "Texts")


def _off(found: str) -> str:
    return f"its logits differ from the decoder's {found}"


def _notice(reason: str | None, what: str = "Patches") -> str:
    return f"{what} run through the model's own hooks, which is slower: {reason}."


def _runs(
    engine: Engine, prompts: Mapping[str, Tensor], graph_of: str | None = None
) -> dict[str, Capture]:
    return {
        name: capture(engine, tokens, graph=name == graph_of)
        for name, tokens in prompts.items()
    }


def _disagreement(
    decoder: Decoder,
    runs: Mapping[str, Capture],
    prompts: Mapping[str, Tensor],
    theirs: list[Tensor],
) -> str | None:
    """How the decoder's runs differ from the model's, in words; None if they agree."""
    ours = [run.readout.logits() for run in runs.values()]
    found = disagreement(decoder.weights, list(prompts.values()), ours, theirs)
    return None if found is None else _off(found)


def _witnessed(
    model: Any,
    runs: Mapping[str, Capture],
    prompts: Mapping[str, Tensor],
    theirs: list[Tensor],
) -> dict[str, Capture]:
    """The decoder's runs with the model's own logits of one pair, which tell enough."""
    if len(theirs[0]) > 1 and theirs[0].dtype in HALF:
        # A batch of another size may round otherwise, and by as much as the model does.
        theirs = [model(t[:1], return_type="logits") for t in prompts.values()]
    return {
        name: replace(run, witness=logits[:1].clone())
        for (name, run), logits in zip(runs.items(), theirs, strict=True)
    }


def choose(model: Any) -> tuple[Engine, str | None]:
    """The decoder if it covers the model; else its hooks, and why."""
    hooked = list(user_hooks(model))
    if hooked:
        return HookedModel(model), f"the model carries hooks ({', '.join(hooked[:3])})"
    try:
        return Decoder.of(model), None
    except UncoveredError as uncovered:
        return HookedModel(model), f"{uncovered} is not covered"


def refuse_split(model: Any) -> None:
    """Refuse a model whose parts lie on several devices, or nowhere.

    Raises:
        ValueError: naming the devices and what to do.
    """
    devices = sorted({str(p.device) for p in model.parameters()})
    planned = getattr(model.cfg, "n_devices", 1) or 1
    if len(devices) > 1 or planned > 1:
        raise ValueError(
            f"the model's parameters lie on {', '.join(devices)}, to run on {planned} "
            "devices: a study needs all of it on one. Load it with device=..., and "
            "without n_devices, device_map or offloading"
        )
    if devices == ["meta"]:
        raise ValueError(
            "the model's parameters lie on meta, which keeps no values: load its weights "
            "on a device"
        )


def refuse_dropout(model: Any) -> None:
    """Refuse a model that would give another result at every run.

    Raises:
        ValueError: naming the module and its rate.
    """
    for name, module in model.named_modules():
        rate = _dropout(module) if module.training else 0.0
        if rate > 0:
            raise ValueError(
                f"the model is in train mode and drops {rate:.0%} at random "
                f"({name}): call model.eval() first"
            )


def _dropout(module: nn.Module) -> float:
    if isinstance(module, nn.Dropout):
        return module.p
    # transformers also drops without a module, at a rate kept as a plain number.
    rates = [x for name, x in vars(module).items() if "drop" in name]
    return max((rate for rate in rates if isinstance(rate, float)), default=0.0)


def fingerprint(model: Any) -> tuple[Any, ...]:
    """What changes when weights are changed in place or replaced, or hooks are added."""
    weights = tuple((p.data_ptr(), p._version) for p in model.parameters())  # noqa: SLF001 - torch's only way to see an in-place change
    return weights, tuple(user_hooks(model).items())
