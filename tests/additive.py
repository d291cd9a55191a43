"""Patched runs without a model: effects that add up, and a count of the runs."""

from __future__ import annotations

from patchwidget.nodes import Node


def nodes_of(count):
    """So many heads of one layer."""
    return tuple(Node("z", 0, head=head) for head in range(count))


class Additive:
    """Runs patches of which each node adds its effect; `effect` may do otherwise."""

    def __init__(self, effects, at_once=3):
        self.effects, self.at_once, self.runs = dict(effects), at_once, []

    def effect(self, patch):
        return sum(self.effects[node] for node in patch)

    def __call__(self, patches):
        yield {}  # a step that finishes nothing, as most do
        for start in range(0, len(patches), self.at_once):
            batch = patches[start : start + self.at_once]
            self.runs += batch
            yield {patch: self.effect(patch) for patch in batch}


def last_of(steps):
    """What a generator gives last."""
    *_, last = steps
    return last
