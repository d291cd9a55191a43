"""Everything the two sides say to each other besides traits; twin of js/host/messages.ts.

Requests carry an `id` and get a reply `{kind, id, ok, error, payload}`; progress is sent
unasked. Whatever is malformed or unknown is reported once and ignored.
"""

from __future__ import annotations

import reprlib
from typing import Any

ATTENTION_GET = "attention.get"
CIRCUITSVIS_GET = "circuitsvis.get"
ROW_GET = "row.get"
NEURONS_GET = "neurons.get"
DIAGNOSIS_GET = "diagnosis.get"
COST_GET = "cost.get"
VERIFY_START = "verify.start"
QUESTION_CHECK = "question.check"
QUESTION_SOLVE = "question.solve"
PATHS_GET = "paths.get"
PATHS_START = "paths.start"
CIRCUIT_START = "circuit.start"
CIRCUIT_LOAD = "circuit.load"
CIRCUIT_JSON = "circuit.json"
MODULE_GET = "module.get"
JOB_CANCEL = "job.cancel"
JOB_RETRY = "job.retry"
JOB_PROGRESS = "job.progress"
REPLY = "reply"

REQUESTS = (
    ATTENTION_GET,
    CIRCUITSVIS_GET,
    ROW_GET,
    NEURONS_GET,
    DIAGNOSIS_GET,
    COST_GET,
    VERIFY_START,
    QUESTION_CHECK,
    QUESTION_SOLVE,
    PATHS_GET,
    PATHS_START,
    CIRCUIT_START,
    CIRCUIT_LOAD,
    CIRCUIT_JSON,
    MODULE_GET,
    JOB_CANCEL,
    JOB_RETRY,
)

# Their results come as traits.
STARTING = (
    VERIFY_START,
    QUESTION_CHECK,
    QUESTION_SOLVE,
    PATHS_START,
    CIRCUIT_START,
)
OF_JOBS = (JOB_CANCEL, JOB_RETRY)

Message = dict[str, Any]
MOST_LETTERS = 1000


def request_problem(content: object) -> str | None:
    """What is wrong with a request, in words; None if it can be handled."""
    if not isinstance(content, dict):
        return f"a message is an object, got {type(content).__name__}"
    if content.get("kind") not in REQUESTS:
        return f"unknown message kind {short(content.get('kind'))}"
    if not isinstance(content.get("id"), str):
        return f"{content['kind']} without an id"
    return None


def envelope_problem(message: object) -> str | None:
    """What is wrong with a message as the comm delivers it; None if it can be opened.

    No trait of a page holds bytes, so that none may come with a new state.
    """
    data = _data(message)
    if not isinstance(data, dict):
        return "a message without data"
    method, state = data.get("method"), data.get("state")
    if method not in ("update", "custom", "request_state"):
        return f"unknown method {short(method)}"
    if method == "update" and not isinstance(state, dict):
        return f"a state is an object, got {type(state).__name__}"
    if method == "update" and data.get("buffer_paths", []) != []:
        return "no trait of a page takes bytes"
    return None


def is_cancel(message: object) -> bool:
    """Whether a message, as the comm delivers it, asks to stop a job."""
    data = _data(message)
    content = data.get("content") if isinstance(data, dict) else None
    return isinstance(content, dict) and content.get("kind") == JOB_CANCEL


def _data(message: object) -> object:
    content = message.get("content") if isinstance(message, dict) else None
    return content.get("data") if isinstance(content, dict) else None


def short(value: object) -> str:
    """A value in a few words, whatever a page makes of it."""
    return reprlib.repr(value)


def reply(request: Message, payload: Message) -> Message:
    """The answer to a request that went well."""
    return {
        "kind": REPLY,
        "id": request["id"],
        "ok": True,
        "error": None,
        "payload": payload,
    }


def failure(request: Message, error: Exception) -> Message:
    """The answer to a request that did not."""
    return {
        "kind": REPLY,
        "id": request["id"],
        "ok": False,
        "error": error_record(error),
        "payload": None,
    }


def error_record(error: BaseException) -> Message:
    """An error as the page shows it."""
    # A KeyError's text is the repr of its argument; the argument reads better.
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return {"type": type(error).__name__, "message": _cut(str(text))}


def _cut(text: str) -> str:
    """A text at a length that somebody reads: it may quote what a page sent."""
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]} ..."


def progress(job: int, done: int, total: int, seconds_left: float | None) -> Message:
    """How far a job has come."""
    return {
        "kind": JOB_PROGRESS,
        "id": job,
        "done": done,
        "total": total,
        "seconds_left": seconds_left,
    }
