"""Nodes have one name, one place, and refuse to be what no model has."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from patchwidget import Head, Node
from patchwidget.nodes import HEAD_KINDS, KINDS, Extent, axes_of, cut_of, kind_name

# No two sizes are equal, so that axes cannot be mixed up unseen.
EXTENT = Extent(n_layers=2, n_heads=6, n_kv_heads=3, n_pos=5, d_mlp=7)
CUTS = [
    ("resid_pre", None, ("layer", "pos")),
    ("resid_mid", None, ("layer", "pos")),
    ("resid_post", None, ("layer", "pos")),
    ("attn_out", None, ("layer", "pos")),
    ("mlp_out", None, ("layer", "pos")),
    *[(kind, None, ("layer", "head")) for kind in "zqkv"],
    *[(kind, "pos", ("layer", "pos", "head")) for kind in "zqkv"],
    ("pattern", None, ("layer", "head")),
    ("pattern", "dest", ("layer", "head", "pos")),
    ("pattern", "dest_src", ("layer", "head", "pos", "src")),
    ("neuron", None, ("layer", "pos", "neuron")),
]


@pytest.mark.parametrize(("kind", "by", "axes"), CUTS)
def test_axes_are_transformer_lens_order(kind, by, axes):
    # Their pattern results have the head before the position, their other by-position
    # results after it; tests/oracle compares the shapes with their own functions.
    assert axes_of(kind, by) == axes


@pytest.mark.parametrize(("kind", "by", "axes"), CUTS)
def test_every_node_has_a_name_and_a_cell_of_its_own(kind, by, axes):
    nodes = list(EXTENT.nodes(kind, by))
    shape = EXTENT.shape(kind, by)
    assert [node.cell for node in nodes] == list(np.ndindex(*shape))
    assert [Node.parse(str(node)) for node in nodes] == nodes
    assert len({str(node) for node in nodes}) == len(nodes)
    for node in nodes:
        EXTENT.check(node)
        assert (node.kind, node.by) == (kind, by)


@pytest.mark.parametrize(("kind", "by", "axes"), CUTS)
def test_a_node_lies_where_its_values_are(kind, by, axes):
    """Each index picks exactly the entries that carry the node's own coordinates."""
    names = {
        "pattern": ("head", "pos", "src"),
        "neuron": ("pos", "neuron"),
        **dict.fromkeys("zqkv", ("pos", "head", "feature")),
    }.get(kind, ("pos", "feature"))
    sizes = [4 if name == "feature" else EXTENT.size(name, kind) for name in names]
    for node in EXTENT.nodes(kind, by):
        mask = torch.zeros(3, *sizes)
        mask[node.index] = 1
        expected = torch.ones(3, *sizes)
        for dim, name in enumerate(names, start=1):
            place = None if name == "feature" else getattr(node, name)
            if place is not None:
                keep = torch.zeros(sizes[dim - 1])
                keep[place] = 1
                expected = expected * keep.reshape([-1] + [1] * (len(names) - dim))
        assert torch.equal(mask, expected), node


def test_keys_and_values_count_their_own_heads():
    assert [EXTENT.shape(kind) for kind in "zqkv"] == [(2, 6), (2, 6), (2, 3), (2, 3)]
    assert EXTENT.shape("k", "pos") == (2, 5, 3)
    assert EXTENT.shape("pattern", "dest_src") == (2, 6, 5, 5)
    EXTENT.check(Head(0, 5, "q"))
    with pytest.raises(IndexError, match="there is no KV head 5, only 0 to 2"):
        EXTENT.check(Head(0, 5, "k"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *[(kind, kind) for kind in KINDS],
        ("hook_z", "z"),
        ("attn.hook_q", "q"),
        ("attn.hook_k", "k"),
        ("attn.hook_pattern", "pattern"),
        ("pattern", "pattern"),
        ("attn", "pattern"),
        ("hook_resid_pre", "resid_pre"),
        ("hook_mlp_out", "mlp_out"),
        ("mlp.hook_post", "neuron"),
        ("post", "neuron"),
    ],
)
def test_transformer_lens_names_are_understood(name, kind):
    assert kind_name(name) == kind


@pytest.mark.parametrize(
    "kind", ["zz", "", "hook_", "attn.z", "blocks.3.hook_resid_pre", None, 3]
)
def test_an_unknown_kind_names_the_known_ones(kind):
    with pytest.raises(ValueError, match=r"unknown kind .*resid_pre.*pattern, neuron"):
        kind_name(kind)


def test_position_is_a_cut_of_every_kind():
    assert cut_of("z", "pos") == "pos"
    assert cut_of("resid_pre", "pos") is None
    assert cut_of("pattern", "pos") == "dest"
    with pytest.raises(ValueError, match=r"z cannot be had by 'dest'.*'pos'"):
        cut_of("z", "dest")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("L9H8.q@12", Node("q", 9, head=8, pos=12)),
        ("9.8.q@12", Node("q", 9, head=8, pos=12)),
        ("9.8", Node("z", 9, head=8)),
        ("L9H8", Node("z", 9, head=8)),
        (" L9H8.v ", Node("v", 9, head=8)),
        ("L0.resid_pre@S2", Node("resid_pre", 0, pos=10)),
        ("0.hook_mlp_out@3", Node("mlp_out", 0, pos=3)),
        ("L1H2.pattern", Node("pattern", 1, head=2)),
        ("L1H2.pattern@END", Node("pattern", 1, head=2, pos=14)),
        ("L1H2.pattern@END,S2", Node("pattern", 1, head=2, pos=14, src=10)),
        ("L1.neuron@4#300", Node("neuron", 1, pos=4, neuron=300)),
    ],
)
def test_forms_of_a_name(text, node):
    assert Node.parse(text, {"S2": 10, "END": 14}) == node


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head nine", "'head nine' is not a node: write it as in 'L9H9.q@12'"),
        ("", "is not a node"),
        ("L-1H0.z", "is not a node"),
        ("L3", "'L3' names a layer: say what"),
        ("L3H2.zz", "unknown kind 'zz'"),
        ("L3.z", "a z node needs head"),
        ("L3H2.resid_pre@1", "a resid_pre node has no head"),
        ("L3.resid_pre", "a resid_pre node needs a position"),
        ("L3.neuron@1", "a neuron node needs neuron"),
        ("L3H2.q@1,0", "only a pattern node with a destination has a source"),
        ("L3H2.q@S9", "there is no position named 'S9': S2, END"),
    ],
)
def test_a_bad_name_says_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        Node.parse(text, {"S2": 10, "END": 14})


def test_a_named_position_without_names():
    with pytest.raises(ValueError, match="'S2': none are named"):
        Node.parse("L0.resid_pre@S2")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"kind": "z", "layer": 0}, "a z node needs head"),
        ({"kind": "mlp_out", "layer": 0}, "a mlp_out node needs a position"),
        ({"kind": "z", "layer": 0, "head": 1, "neuron": 2}, "has no neuron"),
        ({"kind": "pattern", "layer": 0, "head": 1, "src": 2}, "with a destination"),
        ({"kind": "z", "layer": None, "head": 1}, "layer must be a whole number"),
        ({"kind": "z", "layer": 1.0, "head": 1}, "layer must be a whole number"),
        ({"kind": "z", "layer": 0, "head": True}, "head must be a whole number"),
        ({"kind": "z", "layer": 0, "head": "1"}, "head must be a whole number"),
    ],
)
def test_parts_that_make_no_node(parts, message):
    with pytest.raises(ValueError, match=message):
        Node(**parts)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Head(2, 0), r"L2H0\.z: there is no layer 2, only 0 to 1"),
        (Head(0, 6), r"L0H6\.z: there is no head 6, only 0 to 5"),
        (Head(0, 0, pos=5), r"L0H0\.z@5: there is no pos 5, only 0 to 4"),
        (Node("pattern", 0, 0, 0, 5), "there is no src 5, only 0 to 4"),
        (Node("neuron", 0, pos=0, neuron=7), "there is no neuron 7, only 0 to 6"),
        (Head(0, -1), "there is no head -1, only 0 to 5"),
    ],
)
def test_out_of_range_names_the_part_and_the_range(node, message):
    with pytest.raises(IndexError, match=message):
        EXTENT.check(node)


@pytest.mark.parametrize("number", [np.int64, np.uint8, torch.tensor])
def test_other_whole_numbers_make_the_same_node(number):
    node = Node("q", number(1), head=number(2), pos=number(3))
    assert node == Node("q", 1, head=2, pos=3)
    assert len({node, Node("q", 1, head=2, pos=3)}) == 1
    assert str(node) == "L1H2.q@3"


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_head_is_a_shorthand(kind):
    assert Head(1, 2, kind=kind, pos=3) == Node(kind, 1, head=2, pos=3)


def test_head_means_what_it_writes():
    assert Head(1, 2) == Node("z", 1, head=2)
    assert Head(1, 2).by is None
    assert Head(1, 2, pos=0).by == "pos"
