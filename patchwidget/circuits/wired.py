"""Runs circuits of paths for a study: what is known already is not run again."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence

from torch import Tensor

from patchwidget.circuits.plan import Plan, Prices
from patchwidget.circuits.wired_runs import Ground, WiredRuns
from patchwidget.circuits.wiring import Cut, Wiring
from patchwidget.effects import Effect
from patchwidget.estimate.coverage import require_decoder
from patchwidget.exact import PatchCost, Progress, Runner, Swap
from patchwidget.exact.budget import budget_of, patch_bytes, rows_at_once
from patchwidget.exact.cost import mlp_size
from patchwidget.paths.writes import all_writers, require_additive
from patchwidget.runs import Runs, computing
from patchwidget.watch import Watch


def wiring_of(runs: Runs, by: str | None) -> Wiring:
    """All paths of a study's model.

    Raises:
        ValueError: if the decoder does not cover the model, or its heads write through a
            post-norm.
    """
    decoder = require_decoder(runs, "a circuit of paths")
    require_additive(decoder, all_writers(runs.extent))
    return Wiring(runs.extent, parallel=decoder.weights.layers[0].parallel, by=by)


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
                self._effects[name][cut] = Effect((), value - before, unit)


class Wired:
    """The effects of cutting paths: all those that lie outside a circuit.

    Args:
        runs: the captured runs, in the noising direction.
        wiring: all paths that there are.
        watch: whether the model is still the one that was run.
        runner: of the same runs: it knows the machine's pace.
        budget: bytes that runs may take at once, or None.

    Attributes:
        wiring: all paths.
        known: what was found.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> from patchwidget.paths import Path
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs(), direction="noising")
        >>> wiring = wiring_of(study._runs, by=None)
        >>> wired = Wired(study._runs, wiring, study._watch, study._runner, budget=None)
        >>> cut = wiring.only([wiring.number(Path.parse("embed -> final"))])
        >>> [step.done for step in wired.steps([cut])][-1]
        1
        >>> wired.known.of()[cut].raw.shape
        torch.Size([8])
    """

    def __init__(
        self,
        runs: Runs,
        wiring: Wiring,
        watch: Watch,
        runner: Runner,
        budget: int | None,
    ) -> None:
        self._runs, self.wiring = runs, wiring
        self._watch, self._runner = watch, runner
        decoder = require_decoder(runs, "a circuit of paths")
        with computing():
            self._ground = Ground.of(runs, decoder, budget)
            self._first = self._first_change()
        self._prices = self._priced()
        self.known = KnownCuts(runs)

    def cost(self, patches: Collection[Cut]) -> PatchCost:
        """What running those of some circuits would cost that are not known.

        Raises:
            ValueError: if the budget is too small for one.
        """
        plans = filter(None, self._plans(self._new(patches)))
        return self._runner.price([work for plan in plans for work in plan.works])

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
        done = total - len(new)
        yield Progress(done, total, work=float(not new))
        plans = []
        for plan in self._plans(new):
            plans += [] if plan is None else [plan]
            yield Progress(done, total)
        self._runs.drop_graphs()  # the runs want the memory
        all_work, worked = sum(plan.work for plan in plans), 0
        for plan in plans:
            for share in self._run(plan):
                yield Progress(
                    done, total, work=(worked + share * plan.work) / all_work
                )
            done, worked = done + len(plan.cuts), worked + plan.work
            yield Progress(done, total, work=worked / all_work)

    def _new(self, cuts: Collection[Cut]) -> list[Cut]:
        known = self.known.of()
        return [cut for cut in dict.fromkeys(cuts) if cut not in known]

    def _run(self, plan: Plan) -> Iterator[float]:
        """The share that is done, layer by layer; what was found is known afterwards."""
        n_layers = len(plan.layers)
        with computing():
            runs = WiredRuns(self._ground, plan)
        for number in range(n_layers):
            with computing():
                runs.run_layer(number)
            yield (number + 1) / (n_layers + 1)
        with computing():
            values = runs.values()
        self._watch.check()
        with computing():
            self.known.learn(plan.cuts, values, self._ground.swap)

    def _plan(self) -> Plan:
        still = self._runs.ablation is None
        return Plan(self.wiring, self._prices, first=self._first, still=still)

    def _plans(self, cuts: Sequence[Cut]) -> Iterator[Plan | None]:
        """Plans of as many of the circuits as memory holds and keep this machine busy.

        None stands for a circuit that has joined a plan, which is not made by then.
        """
        plan = self._plan()
        self._require_memory(plan)
        for cut in cuts:
            if plan.cuts and not self._holds_more(plan):
                yield plan
                plan = self._plan()
            plan.add(cut)
            yield None
        if plan.cuts:
            yield plan

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

    def _require_memory(self, plan: Plan) -> None:
        swap, needed = self._ground.swap, self._bytes(plan)
        if needed > budget_of(swap):
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
