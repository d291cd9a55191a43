"""Everything the two sides say to each other besides traits; twin of js/host/messages.ts.

Requests carry an `id` and get a reply `{kind, id, ok, error, payload}`; progress is sent
unasked. Whatever is malformed or unknown is reported once and ignored.
"""

from __future__ import annotations

from typing import Any

ATTENTION_GET = "attention.get"
CIRCUITSVIS_GET = "circuitsvis.get"
ROW_GET = "row.get"
NEURONS_GET = "neurons.get"
DIAGNOSIS_GET = "diagnosis.get"
COST_GET = "cost.get"
VERIFY_START = "verify.start"
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
    JOB_CANCEL,
    JOB_RETRY,
)

Message = dict[str, Any]


def request_problem(content: object) -> str | None:
    """What is wrong with a request, in words; None if it can be handled."""
    if not isinstance(content, dict):
        return f"a message is an object, got {type(content).__name__}"
    if content.get("kind") not in REQUESTS:
        return f"unknown message kind {content.get('kind')!r}"
    if not isinstance(content.get("id"), str):
        return f"{content['kind']} without an id"
    return None


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
    return {"type": type(error).__name__, "message": str(text)}


def progress(job: int, done: int, total: int, seconds_left: float | None) -> Message:
    """How far a job has come."""
    return {
        "kind": JOB_PROGRESS,
        "id": job,
        "done": done,
        "total": total,
        "seconds_left": seconds_left,
    }
