"""The runs of circuits of paths, as a plan says them, a layer at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from patchwidget.circuits.plan import Inputs, Plan
from patchwidget.decoder import Decoder, Past, StreamReadout, blocks
from patchwidget.exact import Swap
from patchwidget.logits import NotComputedError
from patchwidget.metrics import Metric, MetricFailedError, check_finite
from patchwidget.paths.reads import Values, read, stream_read
from patchwidget.runs import Runs


def ablated_streams(runs: Runs, decoder: Decoder) -> Values:
    """The stream at every reader when all writers write what they write ablated."""
    values = runs.source.values
    if runs.ablation is None:
        return values
    streams = {}
    stream = values["resid_pre", 0]
    for number, layer in enumerate(decoder.weights.layers):
        streams["resid_pre", number] = stream
        stream = stream + blocks.write(layer.attn, values["z", number])
        streams["resid_mid", number] = stream
        if layer.mlp is not None:
            stream = stream + values["mlp_out", number]
        streams["resid_post", number] = stream
    return streams


@dataclass(frozen=True)
class Ground:
    """What runs of circuits differ from.

    Attributes:
        decoder: runs the model.
        swap: the clean run, and the values that are put into it.
        streams: of the ablated run, at every reader.
    """

    decoder: Decoder
    swap: Swap
    streams: Values

    @classmethod
    def of(cls, runs: Runs, decoder: Decoder, budget: int | None) -> Ground:
        """Of the runs of a study, in the noising direction."""
        return cls(decoder, Swap.of(runs, budget), ablated_streams(runs, decoder))

    def embedding(self, first: int) -> Tensor:
        """What the embedding writes differently, `[B, t, d]` from a position on."""
        place = "resid_pre", 0
        return (self.swap.base.values[place] - self.swap.values[place])[:, first:]


class WiredRuns:
    """The runs of one plan.

    Args:
        ground: what they differ from.
        plan: what is to be computed.
    """

    def __init__(self, ground: Ground, plan: Plan) -> None:
        self._ground, self._plan = ground, plan
        self._weights = ground.decoder.weights
        embedding = ground.embedding(plan.first)
        # What each state writes differently from the ablated run.
        self._writes = embedding.new_empty(plan.n_states, *embedding.shape)
        self._writes[0] = embedding

    def run_layer(self, number: int) -> None:
        """What a layer's heads and its MLP write, in all the runs."""
        plan, block = self._plan.layers[number], self._weights.layers[number]
        if plan.heads:
            stream = self._ground.streams["resid_pre", number]
            inputs = self._inputs(plan.inputs, stream[:, self._plan.first :])
            self._run_heads(number, blocks.normalise(block.ln1, inputs))
        if plan.mlps:
            stream = self._ground.streams[stream_read("mlp", block), number]
            inputs = self._inputs(plan.mlp_inputs, stream[:, self._plan.first :])
            self._run_mlp(number, inputs)

    def _inputs(
        self, inputs: Inputs, stream: Tensor, columns: slice = slice(None)
    ) -> Tensor:
        """Inputs `[u, B, t, d]`: the ablated stream `[B, t, d]` and what is added."""
        found = stream.repeat(len(inputs), 1, 1, 1)
        start = 0
        for sums in inputs.sums:
            states = torch.from_numpy(sums.states).to(stream.device)
            added = torch.from_numpy(sums.added).to(stream)
            writes = self._writes[states][:, :, columns]
            if added.shape[2] == 1:
                more = torch.tensordot(added[..., 0], writes, 1)
            else:
                more = torch.einsum("umt,mbtd->ubtd", added[..., columns], writes)
            found[start : start + len(added)] += more
            start += len(added)
        return found

    def _run_heads(self, number: int, normal: Tensor) -> None:
        """Heads one by one, each with all the inputs that it has in some run."""
        plan = self._plan.layers[number]
        read = {
            place: self._read(number, place, normal[self._rows(inputs)])
            for place, inputs in plan.read.items()
        }
        by_head = sorted(plan.heads.items())
        for head, items in groupby(by_head, key=lambda one: one[0][0]):
            self._run_head(number, head, dict(items), read)

    def _read(self, number: int, place: tuple[str, int], normal: Tensor) -> Tensor:
        """One head's queries, keys or values `[u, B, t, e]`; keys and values `[.., T, e]`."""
        part, head = place
        attn = self._weights.layers[number].attn
        weight, bias = {
            "q": (attn.W_Q, attn.b_Q),
            "k": (attn.W_K, attn.b_K),
            "v": (attn.W_V, attn.b_V),
        }[part]
        values = blocks.affine(normal, weight[head], bias[head])
        if part == "q":
            return values
        early = self._ground.swap.values[part, number][:, : self._plan.first, head]
        return torch.cat([early.expand(len(values), -1, -1, -1), values], 2)

    def _run_head(
        self,
        number: int,
        head: int,
        states: Mapping[tuple[int, int, int, int], int],
        read: Mapping[tuple[str, int], Tensor],
    ) -> None:
        attn, first = self._weights.layers[number].attn, self._plan.first
        known = self._plan.layers[number].read

        def side(part: str, of_key: int) -> Tensor:
            place = part, head if part == "q" else head // attn.group
            chosen = [known[place][key[of_key]] for key in states]
            return read[place][self._rows(chosen)].flatten(0, 1)[:, :, None]

        z = blocks.attended(attn, side("q", 1), side("k", 2), side("v", 3), first)
        ablated = self._ground.swap.values["z", number][:, first:, head]
        step = torch.unflatten(z[:, :, 0], 0, (len(states), -1)) - ablated
        self._writes[self._rows(states.values())] = step @ attn.W_O[head]

    def _run_mlp(self, number: int, inputs: Tensor) -> None:
        states, block = self._plan.layers[number].mlps, self._weights.layers[number]
        out = read(block, "mlp", inputs[self._rows(states)].flatten(0, 1))
        ablated = self._ground.swap.values["mlp_out", number][:, self._plan.first :]
        step = torch.unflatten(out, 0, (len(states), -1)) - ablated
        self._writes[self._rows(states.values())] = step

    def _rows(self, numbers: Iterable[int]) -> Tensor:
        return torch.tensor(list(numbers), device=self._writes.device)

    def values(self) -> dict[str, Tensor]:
        """The metrics of each circuit's run, `[circuits, B]` each.

        Raises:
            ValueError: if a metric is not finite in a run.
            RuntimeError: if a metric raises.
        """
        try:
            return self._values(self._ground.swap.read)
        except NotComputedError:
            # A metric that reads other positions than it did so far.
            return self._values(None)

    def _values(self, only: int | None) -> dict[str, Tensor]:
        swap, plan = self._ground.swap, self._plan
        place = "resid_post", len(self._weights.layers) - 1
        stream = self._ground.streams[place][:, plan.first :]
        columns = slice(None)
        if only is not None:
            columns = slice(only - plan.first, only - plan.first + 1)
        last = self._inputs(plan.ends, stream[:, columns], columns).flatten(0, 1)
        if only is None:
            last = Past(plan.first, self._ground.streams).before(*place, last)
        readout = StreamReadout(self._weights, last, swap.n_pos, only)
        found = {}
        for name, metric in swap.metrics.items():
            values = self._read_metric(metric, readout)
            check_finite(values, name, "the run of a circuit of paths")
            found[name] = values[self._rows(plan.end_of)]
        return found

    def _read_metric(self, metric: Metric, readout: StreamReadout) -> Tensor:
        try:
            return metric.values(readout, len(self._plan.ends))
        except MetricFailedError as error:
            raise error.on("the run of a circuit of paths") from error.__cause__
