"""Which engine runs a model, and whether it is still the model that was run.

The decoder stands for a model that it covers, that carries nobody's hooks, and whose
logits it reproduces on the study's own prompts. Otherwise the model's own hooks do the
work, and a line says why.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from patchwidget.decoder import Decoder, UncoveredError, difference
from patchwidget.hooks import HookedModel, user_hooks
from patchwidget.pairs import TokenPairs
from patchwidget.runs import Capture, Engine, capture


def captured(
    model: Any, pairs: TokenPairs
) -> tuple[Engine, Capture, Capture, str | None]:
    """Both runs, by the decoder if it may stand for the model; else by hooks, and why."""
    engine, reason = choose(model)
    clean, corrupted = capture(engine, pairs.clean), capture(engine, pairs.corrupted)
    if isinstance(engine, Decoder):
        found = _disagreement(model, engine, (clean, corrupted), pairs)
        if found is None:
            return engine, clean, corrupted, None
        reason, engine = (
            f"its logits differ from the decoder's {found}",
            HookedModel(model),
        )
        clean = capture(engine, pairs.clean)
        corrupted = capture(engine, pairs.corrupted)
    notice = f"Patches run through the model's own hooks, which is slower: {reason}."
    return engine, clean, corrupted, notice


def _disagreement(
    model: Any, decoder: Decoder, runs: tuple[Capture, Capture], pairs: TokenPairs
) -> str | None:
    """How the decoder's runs differ from the model's, in words; None if they agree."""
    n_layers = len(decoder.weights.layers)
    for run, tokens in zip(runs, (pairs.clean, pairs.corrupted), strict=True):
        theirs = model(tokens, return_type="logits")
        found = difference(run.readout.logits(), theirs, n_layers)
        if found is not None:
            return found
    return None


def choose(model: Any) -> tuple[Engine, str | None]:
    """The decoder if it covers the model; else its hooks, and why."""
    hooked = list(user_hooks(model))
    if hooked:
        return HookedModel(model), f"the model carries hooks ({', '.join(hooked[:3])})"
    try:
        return Decoder.of(model), None
    except UncoveredError as uncovered:
        return HookedModel(model), f"{uncovered} is not covered"


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
