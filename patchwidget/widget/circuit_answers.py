"""What the page asks for about paths and circuits, and the computations that it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from patchwidget.exact import PatchCost, Progress
from patchwidget.paths import Path, Writer
from patchwidget.paths.chosen import paths_of
from patchwidget.widget import answers, messages
from patchwidget.widget.answers import Answer, Request, Steps
from patchwidget.widget.board import Board
from patchwidget.widget.bundle import bundled
from patchwidget.widget.circuit_file import paths_in, text_of
from patchwidget.widget.side import Side
from patchwidget.widget.turns import Turn
from patchwidget.widget.verifying import named

# By what the page calls them: the study's own name of a question, and the job's. The last
# is about the verified paths; twin of STARTED in js/circuit/costs.ts.
QUESTIONS = {
    "interactions": ("interactions", "interactions of {} picks"),
    "repair": ("self_repair", "self-repair of {} picks"),
    "story": ("whole_story", "whole story of {} picks"),
    "path_story": ("whole_story", "whole story of {} paths"),
}
MODULES = ("circuit",)


def paths(asked: Request) -> Steps:
    """Estimated paths into a head or an MLP and out of it, those of largest size first."""
    board, node = asked.board, _writer(asked)
    side = board.side
    is_new = side.circuit.estimates is None
    found = yield from side.circuit.estimating()
    if is_new:  # verified paths have estimates now
        board.note_circuit(side)
    return found.around(node), []


def _writer(asked: Request) -> Writer:
    name, study = asked.body["node"], asked.board.side.study
    if not isinstance(name, str):
        raise TypeError(f"node is a name, got {name!r}")
    writer = Writer.parse(name, study.pairs.labels)
    writer.check(study.extent)
    if writer.pos is not None:
        whole = replace(writer, pos=None)
        raise ValueError(
            f"estimates of paths are of all positions together: ask for {str(whole)!r}"
        )
    return writer


def cost(asked: Request) -> Answer:
    """What a verification, or a question about paths or picks, would cost."""
    what, study = asked.body["what"], asked.board.side.study
    if what == "paths":
        new = asked.board.side.circuit.new(paths_named(asked))
        return answers.priced(study.path_cost(new) if new else PatchCost(0, 0, 0.0))
    if what in tuple(QUESTIONS):
        question, _ = QUESTIONS[what]
        return answers.priced(study.circuit_cost(question, _members(asked, what)))
    return answers.cost(asked)


def paths_named(asked: Request) -> tuple[Path, ...]:
    """The paths that a request names."""
    names, study = asked.body["paths"], asked.board.side.study
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise TypeError(f"paths is a list of names, got {names!r}")
    return paths_of(names, study.extent, study.pairs.labels)


def module(asked: Request) -> Answer:
    """A part of the front end that is only loaded when somebody looks at it."""
    name = asked.body["name"]
    if name not in MODULES:
        raise ValueError(f"there is no module {name!r}: choose {', '.join(MODULES)}")
    code, style = module_files(name)
    return {"css": style}, [code]


def module_files(name: str) -> tuple[bytes, str]:
    """A module's script in UTF-8, and its style.

    Raises:
        ImportError: if the front end was built without it.
    """
    code, style = (_text(bundled(f"{name}.{end}")) for end in ("js", "css"))
    return code.encode(), style


def _text(file: str | FilePath) -> str:
    return file if isinstance(file, str) else file.read_text("utf-8")


def to_json(asked: Request) -> Answer:
    """Verified paths as text."""
    side = asked.board.side
    return {"text": text_of(side.study, side.circuit.path_records())}, []


def load(asked: Request) -> Answer:
    """Take the paths of a text."""
    side, text = asked.board.side, asked.body["text"]
    if not isinstance(text, str):
        raise TypeError(f"text is a string, got {text!r}")
    found = paths_in(text, side.study)
    side.circuit.load(found)
    asked.board.note_circuit(side)
    return {"paths": len(found)}, []


ANSWERS: Mapping[str, Callable[[Request], Answer | Steps]] = {
    messages.PATHS_GET: paths,
    messages.COST_GET: cost,
    messages.CIRCUIT_JSON: to_json,
    messages.CIRCUIT_LOAD: load,
    messages.MODULE_GET: module,
}


# --- what is started, and comes as the trait --------------------------------------------


def following(asked: Request) -> list[Turn]:
    """Exact patches of the paths that a request names, of those that were not run.

    Raises:
        ValueError, TypeError, IndexError, KeyError: if it cannot be.
    """
    board = asked.board
    side = board.side
    new = side.circuit.new(paths_named(asked))
    if not new:
        return []
    side.study.path_steps(new)  # refused here, not in the job
    label = f"path {new[0]}" if len(new) == 1 else f"{len(new)} paths"
    return [Turn(len(new), lambda: _run_paths(board, side, new), label)]


def _run_paths(board: Board, side: Side, paths: Sequence[Path]) -> Iterator[Progress]:
    new = side.circuit.new(paths)  # of a job that is taken up again, some were run
    if not new:
        yield Progress(0, 0, work=1.0)
        return
    for step in side.study.path_steps(new):
        if step.paths:
            side.circuit.learn(step.paths)
            board.note_circuit(side, at_once=False)
        yield step


def questioning(asked: Request) -> list[Turn]:
    """A question about the picked nodes, or about the verified paths.

    Raises:
        ValueError, TypeError, IndexError, KeyError: if it cannot be asked.
    """
    what, board = asked.body["what"], asked.board
    if what not in tuple(QUESTIONS):
        raise ValueError(f"unknown {what!r}: choose {' or '.join(QUESTIONS)}")
    question, label = QUESTIONS[what]
    side, members = board.side, _members(asked, what)
    turn = named(side.study, question, members)

    def start() -> Iterator[Progress]:
        yield from turn.start()
        found: Any = getattr(side.study, question)(members)
        side.circuit.note(what, found)
        board.note_circuit(side, at_once=False)

    return [replace(turn, start=start, label=label.format(len(members)))]


def _members(asked: Request, what: str) -> list[str]:
    """Names of what a question is about."""
    if what != "path_story":
        return list(asked.picked)
    paths = asked.board.side.circuit.paths
    if not paths:
        raise ValueError("no path is verified yet: run those of the circuit first")
    return list(map(str, paths))


STARTS: Mapping[str, Callable[[Request], list[Turn]]] = {
    messages.PATHS_START: following,
    messages.CIRCUIT_START: questioning,
}
