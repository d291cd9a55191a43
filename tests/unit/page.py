"""The other end of the wire: what a page is sent, and what it sends."""

from __future__ import annotations

import numpy as np
import torch
from comm.base_comm import BaseComm

# What a page may ask for, of the model that most tests have: from every kind of writer.
PATHS = ["L0H1 -> L1H0.q", "L0.mlp -> L1H0.v", "embed -> L1H0.k", "L1H0 -> final"]


class RecordingComm(BaseComm):
    """A comm without a kernel that keeps what is published on it."""

    def __init__(self, *args, **kwargs):
        self.published = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        self.published.append((msg_type, data, buffers))

    def messages(self):
        """Custom messages `(content, buffers)`, oldest first."""
        return [
            (data["content"], buffers)
            for kind, data, buffers in self.published
            if kind == "comm_msg" and data.get("method") == "custom"
        ]

    def states(self, name):
        """Every value of a trait that was sent, oldest first."""
        return [
            data["state"][name]
            for _, data, _ in self.published
            if data and name in data.get("state", {})
        ]


def receive(widget, content):
    """What the page sends, as the comm delivers it."""
    widget._handle_custom_msg(content, [])


def page_sets(widget, **state):
    """What the page writes into traits, as the comm delivers it."""
    message = {"method": "update", "state": state, "buffer_paths": []}
    widget._handle_msg({"content": {"data": message}, "buffers": []})


def replies(widget):
    """Answers so far, oldest first."""
    return [one for one, _ in widget.comm.messages() if one["kind"] == "reply"]


def asked(widget, kind, **body):
    """The payload and the buffers of the answer to a request."""
    reply, buffers = answered(widget, kind, **body)
    assert reply["ok"], reply["error"]
    return reply["payload"], buffers


def answered(widget, kind, **body):
    """The whole answer to a request."""
    receive(widget, {"kind": kind, "id": "a-0", **body})
    reply, buffers = [
        one for one in widget.comm.messages() if one[0]["kind"] == "reply"
    ][-1]
    assert (reply["kind"], reply["id"]) == ("reply", "a-0")
    return reply, buffers


def floats(buffer):
    """Float32 as the page reads it."""
    return torch.tensor(np.frombuffer(buffer, dtype="<f4"))


def decoded(record):
    """The values of a grid's record."""
    return floats(record["data"]).reshape(record["shape"])


def hears(widget, content, data=None):
    """What the page sends, from the comm on, as a kernel delivers it."""
    message = {"method": "custom", "content": content} if data is None else data
    widget.comm.handle_msg({"content": {"data": message}, "buffers": []})
