"""Runs circuits of paths for a study: what is known already is not run again."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from time import perf_counter

from torch import Tensor

from patchwidget.circuits.plan import Plan, Prices
from patchwidget.circuits.wired_runs import Ground, WiredRuns
from patchwidget.circuits.wiring import Cut, Wiring
from patchwidget.decoder import Decoder
from patchwidget.effects import Effect
from patchwidget.estimate.coverage import require_decoder
from patchwidget.exact import PatchCost, Progress, Swap
from patchwidget.exact.budget import budget_of, patch_bytes, rows_at_once
from patchwidget.exact.cost import Pace, mlp_size
from patchwidget.paths.writes import all_writers, require_additive
from patchwidget.runs import Runs, computing
from patchwidget.watch import Watch


def additive_decoder(runs: Runs) -> Decoder:
    """The decoder of a model all of whose heads write to the stream by themselves.

    Raises:
        ValueError: if the decoder does not cover the model, or its heads write through a
            post-norm.
    """
    decoder = require_decoder(runs, "a circuit of paths")
    require_additive(decoder, all_writers(runs.extent))
    return decoder


class KnownCuts:
    """What is known of circuits of paths."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._effects: dict[str, dict[Cut, Effect]] = {
            name: {} for name in runs.metrics
        }

    def of(self, metric: str | None = None) -> Mapping[Cut, Effect]:
        """Effects of cutting paths, on a metric; None is the main one."""
        return self._effects[metric or self._runs.metric.name]

    def learn(
        self, cuts: Sequence[Cut], values: Mapping[str, Tensor], swap: Swap
    ) -> None:
        """Keep the metrics of some runs, `[cuts, B]` each."""
        for name, of_cuts in values.items():
            unit, before = self._runs.reading(name).unit, swap.unpatched.values[name]
            for cut, value in zip(cuts, of_cuts, strict=True):
                self._effects[name][cut.bare] = Effect((), value - before, unit)


class PathRunner:
    """The effects of cutting paths: all those that lie outside a circuit.

    Args:
        runs: the captured runs, in the noising direction.
        by: `"pos"` if paths are cut by the position at which they are written, else None.
        watch: whether the model is still the one that was run.
        budget: bytes that runs may take at once, or None.

    Attributes:
        wiring: all paths.
        known: what was found.

    Raises:
        ValueError: see `additive_decoder`.
        RuntimeError: if the model changed since the study captured its runs.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> from patchwidget.paths import Path
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs(), direction="noising")
        >>> runner = PathRunner(study._runs, None, study._watch, budget=None)
        >>> wiring = runner.wiring
        >>> cut = wiring.only([wiring.number(Path.parse("embed -> final"))])
        >>> [step.done for step in runner.steps([cut])][-1]
        1
        >>> runner.known.of()[cut].raw.shape
        torch.Size([8])
    """

    def __init__(
        self, runs: Runs, by: str | None, watch: Watch, budget: int | None
    ) -> None:
        self._runs, self._watch = runs, watch
        decoder = additive_decoder(runs)
        parallel = decoder.weights.layers[0].parallel
        self.wiring = Wiring(runs.extent, parallel=parallel, by=by)
        # Ablated streams are made with the model's weights, and stay.
        watch.check()
        with computing():
            self._ground = Ground.of(runs, decoder, budget)
            self._first = self._first_change()
        watch.check_weights()
        self._prices, self._pace = self._priced(), Pace()
        self._works: dict[Cut, int] = {}  # of those that are still to be run
        self.known = KnownCuts(runs)

    def cost(self, patches: Collection[Cut]) -> PatchCost:
        """What running those of some circuits would cost that are not known.

        Raises:
            ValueError: if the budget is too small for one.
        """
        new = self._new(patches)
        self._require_memory(new)
        for _ in self._weigh([cut for cut in new if cut not in self._works]):
            pass
        works = [self._works[cut] for cut in new]
        return self._pace.price(self._ground.swap, works)

    def steps(self, patches: Collection[Cut]) -> Generator[Progress, None, None]:
        """Run circuits, a layer of a batch at a step.

        Raises:
            ValueError: if a metric is not finite in a run; if the budget is too small.
            RuntimeError: if a metric raises, or the model changed.
        """
        self._watch.check()
        yield from self._watch.over(self._steps(patches))

    def _steps(self, patches: Collection[Cut]) -> Generator[Progress, None, None]:
        new, total = self._new(patches), len(set(patches))
        yield Progress(total - len(new), total, work=float(not new))
        self._require_memory(new)
        for _ in self._weigh([cut for cut in new if cut not in self._works]):
            yield Progress(total - len(new), total)
        if new:
            new = self._new(new)  # others may have run some of them by now
            yield from self._batches(new, total)

    def _batches(
        self, new: Sequence[Cut], total: int
    ) -> Generator[Progress, None, None]:
        """Plan a batch and run it, one after the other, each when the last is gone."""
        self._runs.drop_graphs()  # the runs want the memory
        works = [self._works[cut] for cut in new]
        done, worked, all_work = 0, 0, sum(works) or 1
        while done < len(new):
            plan, known = self._plan(), total - len(new) + done
            for _ in self._fill(plan, new[done:]):
                yield Progress(known, total, work=worked / all_work)
            now = sum(works[done : done + len(plan.cuts)])
            for share in self._run(plan):
                work = (worked + share * now) / all_work
                yield Progress(known, total, work=work)
            done, worked = done + len(plan.cuts), worked + now
            known = total - len(new) + done
            yield Progress(known, total, work=worked / all_work)

    def _new(self, cuts: Collection[Cut]) -> list[Cut]:
        known = self.known.of()
        return [cut for cut in dict.fromkeys(cuts) if cut not in known]

    def _run(self, plan: Plan) -> Iterator[float]:
        """The share that is done, layer by layer; what was found is known afterwards."""
        n_layers, started, took = len(plan.layers), perf_counter(), 0.0
        with computing():
            runs = WiredRuns(self._ground, plan)
        for number in range(n_layers):
            with computing():
                runs.run_layer(number)
            took += perf_counter() - started
            yield (number + 1) / (n_layers + 1)
            started = perf_counter()  # what others did meanwhile is not counted
        with computing():
            values = runs.values()
        took += perf_counter() - started
        self._watch.check()
        with computing():
            self.known.learn(plan.cuts, values, self._ground.swap)
        self._pace.add(plan.work, took)
        for cut in plan.cuts:
            self._works.pop(cut, None)

    def _plan(self) -> Plan:
        of_tokens = self._runs.ablation is None
        return Plan(self.wiring, self._prices, first=self._first, of_tokens=of_tokens)

    def _fill(self, plan: Plan, cuts: Sequence[Cut]) -> Iterator[None]:
        """Add the first of some circuits to a plan, each at a step.

        As many as memory holds and keep this machine busy, and one at least.
        """
        for cut in cuts:
            if plan.cuts and not self._holds_more(plan):
                return
            plan.add(cut)
            yield

    def _weigh(self, cuts: Sequence[Cut]) -> Iterator[None]:
        """Take note of the work of each circuit beside those that run with it.

        Only the numbers are kept: the plans of a long question would need much memory.
        """
        start = 0
        while start < len(cuts):
            plan = self._plan()
            yield from self._fill(plan, cuts[start:])
            names = [cut.bare for cut in plan.cuts]
            self._works |= zip(names, plan.works, strict=True)
            start += len(names)

    def _holds_more(self, plan: Plan) -> bool:
        """Whether a plan may take one more circuit, of which no state is known by now."""
        swap = self._ground.swap
        rows = len(swap.tokens) * (swap.n_pos - self._first)
        is_busy = (plan.busiest + 1) * rows > rows_at_once(swap)
        return not is_busy and self._bytes(plan) <= budget_of(swap)

    def _bytes(self, plan: Plan) -> int:
        """The most that a plan and one more circuit need at once.

        All states live to the end; beside them those that are added to an input, and the
        inputs of one layer, before and behind the norm; the rest is as in other runs.
        """
        swap, extent = self._ground.swap, self.wiring.extent
        readers = extent.n_heads + 2 * extent.n_kv_heads
        streams = plan.n_states + 2 * len(self.wiring.writers)
        streams += 3 * (plan.widest + readers)
        one = swap.base.values["resid_pre", 0][:, self._first :]
        each = one.numel() * one.element_size()
        return streams * each + (len(plan.cuts) + 1) * patch_bytes(swap)

    def _require_memory(self, cuts: Sequence[Cut]) -> None:
        swap, needed = self._ground.swap, self._bytes(self._plan())
        if cuts and needed > budget_of(swap):
            raise ValueError(
                f"one circuit of paths of {len(swap.tokens)} pairs of {swap.n_pos} tokens "
                f"needs about {needed:,} bytes, the budget is {budget_of(swap):,}: give "
                f"budget={needed} or more, or fewer pairs"
            )

    def _first_change(self) -> int:
        """The first position at which a run can differ from the ablated one."""
        if self._runs.ablation is not None:
            return 0
        differs = (self._ground.embedding(0) != 0).any(-1).any(0)
        read = self._ground.swap.read
        return min(
            int(differs.int().argmax()), differs.numel() if read is None else read
        )

    def _priced(self) -> Prices:
        layer, swap = self._ground.decoder.weights.layers[0], self._ground.swap
        _, width, d_head = layer.attn.W_Q.shape
        pairs, first = len(swap.tokens), self._first
        rows = pairs * (swap.n_pos - first)
        seen = pairs * sum(range(first + 1, swap.n_pos + 1))
        return Prices(
            added=rows * width,
            read=rows * width * d_head,
            head=(2 * seen + rows * width) * d_head,
            mlp=rows * mlp_size(layer),
            end=pairs * width * 2,
        )
