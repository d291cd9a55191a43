"""The widget: shows a study, and answers a pick on screen with the exact patch.

- The study is the whole of the science; the widget only shows it.
- Kernel-owned traits say what is studied and what is known: `study`, `grids`,
  `verified`, `job`. The page reads them.
- View-owned traits say what is looked at: `selection`, `shown`, `pair`. The page writes
  them, Python may too: a pick on screen and a selection set in a cell are one event.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import anywidget
import traitlets

from patchwidget.effects import Effect
from patchwidget.grids import Grid
from patchwidget.nodes import Node
from patchwidget.study import PatchStudy
from patchwidget.widget import messages, wire
from patchwidget.widget.jobs import Job, Jobs, running_loop

logger = logging.getLogger("patchwidget")
logger.addHandler(logging.NullHandler())

_STATIC = Path(__file__).parents[1] / "static"
PROGRESS_EVERY_S = 0.1
SHOWN_KINDS = (
    "resid_pre",
    "resid_mid",
    "attn_out",
    "mlp_out",
    "z",
    "q",
    "k",
    "v",
    "pattern",
)


def _bundled(name: str) -> str | Path:
    path = _STATIC / name
    if not path.exists():
        raise ImportError(
            f"the front end {path} is missing: run `npm install && npm run build` in "
            "the source tree, or install a built package"
        )
    # A path makes anywidget watch the file, and keep every widget alive: only wanted
    # while working on the front end.
    return path if os.environ.get("ANYWIDGET_HMR") == "1" else path.read_text("utf-8")


class PatchWidget(anywidget.AnyWidget):
    """A study in a notebook: estimates of every node, exact effects of the picked ones.

    Args:
        study: a `PatchStudy`; or its own arguments, from which one is made.
        *args: see `PatchStudy`.
        **kwargs: see `PatchStudy`.

    Attributes:
        selection: names of the picked nodes. Setting it, as picking on screen, fires
            their exact patches.
        shown: `"estimate"`, `"exact"` or `"miss"`.
        verified: what is known exactly, by node name.
        job: what is being computed.

    Example:
        >>> from patchwidget import PatchStudy, PatchWidget, demo
        >>> widget = PatchWidget(PatchStudy(demo.load_model(), demo.ioi_pairs()))
        >>> widget.selection = ["L0H0.q"]
        >>> sorted(widget.verified)
        ['L0H0.q']
    """

    _esm = _bundled("widget.js")
    _css = _bundled("widget.css")

    study = traitlets.Dict(read_only=True).tag(sync=True)
    grids = traitlets.Dict(read_only=True).tag(sync=True)
    verified = traitlets.Dict(read_only=True).tag(sync=True)
    job = traitlets.Dict(read_only=True).tag(sync=True)

    # Nodes are taken too; the validator makes names of them.
    selection: traitlets.List[Any] = traitlets.List().tag(sync=True, echo_update=False)
    shown = traitlets.Enum(("estimate", "exact", "miss"), "estimate").tag(
        sync=True, echo_update=False
    )
    # One pair at first: patterns of pairs that are each other's corruption cancel in the
    # mean. -1 is the mean.
    pair = traitlets.Int(0).tag(sync=True, echo_update=False)

    def __init__(self, study: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(study, PatchStudy):
            study = PatchStudy(study, *args, **kwargs)
        elif args or kwargs:
            raise TypeError("a PatchStudy is given: it has its arguments already")
        self._study: PatchStudy = study
        self._estimates: dict[tuple[str, str | None], Grid] = {}
        self._news: dict[str, wire.Record] = {}
        self._told = self._shown_at = monotonic()
        self._reported: set[str] = set()
        self._closed = False
        self._jobs = Jobs(running_loop(), self._on_state, self._on_progress)
        # Everything is known before the page hears of the widget: one message opens it.
        first = {
            "study": {**wire.study_record(study), "notice": self._notice()},
            "grids": self._grid_records(),
            "verified": self._records(self._drawn(study.verified.values())),
            "job": asdict(Job()),
        }
        for name, value in first.items():
            self.set_trait(name, value)
        super().__init__()
        self._unsubscribe = study.subscribe(self._learn)
        self.on_msg(self._on_message)

    async def settled(self) -> None:
        """Wait until the patches that were asked for have run.

        Raises:
            RuntimeError: if they failed, with the reason.
        """
        await self._jobs.settled()

    def cancel(self) -> None:
        """Stop what is running; effects that are finished stay."""
        self._jobs.cancel()

    def close(self) -> None:
        """Stop what is running and leave the notebook, with what it holds in memory."""
        # ipywidgets closes once more when it collects a widget, even a half-made one.
        if hasattr(self, "_unsubscribe"):
            self._closed = True
            self._jobs.cancel()
            self._unsubscribe()
        super().close()

    def _grid_records(self) -> dict[str, Any]:
        grids = [self._estimate(kind, None) for kind in self._kinds()]
        return {f"{grid.method}/{grid.kind}": wire.grid_record(grid) for grid in grids}

    def _kinds(self) -> list[str]:
        return [kind for kind in SHOWN_KINDS if self._study.can_patch(kind)]

    def _notice(self) -> str | None:
        """What the reader has to know: the slower way, and maps that are missing."""
        obstacles = [self._study.obstacle(kind) for kind in SHOWN_KINDS]
        lines = [self._study.notice, *dict.fromkeys(obstacles)]
        return " ".join(line for line in lines if line) or None

    def _estimate(self, kind: str, by: str | None) -> Grid:
        if (kind, by) not in self._estimates:
            self._estimates[kind, by] = self._study.estimate(kind, by=by)
        return self._estimates[kind, by]

    @traitlets.validate("selection")
    def _check_selection(self, proposal: dict[str, Any]) -> list[str]:
        """Names as the kernel writes them; what does not exist is refused, visibly."""
        try:
            nodes = self._study.nodes(proposal["value"])
        except (TypeError, ValueError, IndexError) as error:
            self._jobs.refuse(error)
            raise
        return list(dict.fromkeys(map(str, nodes)))

    @traitlets.observe("selection")
    def _verify_selection(self, _: dict[str, Any]) -> None:
        self.verify()

    def verify(self) -> None:
        """Run the exact patches of the picks that are not known yet, or once more.

        Picking does so by itself; after a failure or a cancelled job this tries again.
        """
        if self._closed:
            return
        nodes = self._study.nodes(self.selection)
        known = self._study.verified
        self._learn(tuple(known[node] for node in nodes if node in known))
        self._learn(())
        new = [node for node in nodes if node not in known]
        if not new:
            self._jobs.cancel()
            return
        label = ", ".join(map(str, new[:3])) + (" ..." if new[3:] else "")
        self._jobs.start(lambda: self._study.steps("exact", new), label)

    def _on_state(self, job: Job) -> None:
        self.set_trait("job", asdict(job))

    def _on_progress(self, job: Job) -> None:
        now = monotonic()
        if now - self._told > PROGRESS_EVERY_S:
            self._told = now
            self.send(messages.progress(job.id, job.done, job.total))

    def _learn(self, found: tuple[Effect, ...]) -> None:
        """Show what became known, by this widget's job or by a cell, in a few messages."""
        now = monotonic()
        self._news |= self._records(self._drawn(found))
        # The whole trait travels at each change: not with every step of a sweep.
        if self._news and (not found or now - self._shown_at > PROGRESS_EVERY_S):
            self._shown_at = now
            self.set_trait("verified", {**self.verified, **self._news})
            self._news = {}

    def _drawn(self, effects: Iterable[Effect]) -> list[Effect]:
        """Those of cells on the page and of picks: a fine sweep has thousands more."""
        # A run of several nodes has no cell.
        singles = [effect for effect in effects if len(effect.patch) == 1]
        return [
            effect
            for effect in singles
            if str(effect.node) in self.selection
            or (effect.node.by is None and effect.node.kind in SHOWN_KINDS)
        ]

    def _records(self, effects: Iterable[Effect]) -> dict[str, wire.Record]:
        return {
            str(effect.node): wire.effect_record(effect, self._estimated(effect.node))
            for effect in effects
        }

    def _estimated(self, node: Node) -> float:
        return wire.shown_value(self._estimate(node.kind, node.by), node)

    def _on_message(
        self,
        _: Any,
        content: Any,
        buffers: list[memoryview],  # noqa: ARG002 - the comm's form
    ) -> None:
        problem = messages.request_problem(content)
        if problem is not None:
            self._report_once(problem)
        elif content["kind"] == messages.ATTENTION_GET:
            self._send_attention(content)
        else:
            (self.verify if content["kind"] == messages.JOB_RETRY else self.cancel)()
            self.send(messages.reply(content, {}))

    def _send_attention(self, request: messages.Message) -> None:
        try:
            payload, buffers = self._attention(request["nodes"], int(request["pair"]))
        except Exception as error:  # noqa: BLE001 - it goes back to whoever asked
            self.send(messages.failure(request, error))
        else:
            self.send(messages.reply(request, payload), buffers)

    def _attention(
        self, nodes: list[str], pair: int
    ) -> tuple[messages.Message, list[bytes]]:
        found = self._study.attention(nodes)
        # -1 is the mean over pairs, anything else one pair.
        patterns = [
            run.mean(1) if pair < 0 else run[:, pair]
            for run in (found.clean, found.corrupted)
        ]
        heads = [{"layer": layer, "head": head} for layer, head in found.heads]
        payload = {"heads": heads, "shape": list(patterns[0].shape), "pair": pair}
        return payload, [wire.to_bytes(run) for run in patterns]

    def _report_once(self, problem: str) -> None:
        if problem not in self._reported:
            self._reported.add(problem)
            logger.warning("ignored a message from the page: %s", problem)
