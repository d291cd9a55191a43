"""Writers, readers and paths: their names, and which of them there are."""

from __future__ import annotations

import pytest
import torch

from patchwidget import Head, Node, Reader, Writer
from patchwidget.nodes import Extent
from patchwidget.paths import Path
from patchwidget.paths.path import obstacle

EXTENT = Extent(n_layers=3, n_heads=4, n_kv_heads=2, n_pos=6, d_mlp=20)
NAMES = {
    "embed": Writer("embed"),
    "embed@4": Writer("embed", pos=4),
    "L1H2": Writer("head", 1, 2),
    "L1H2@5": Writer("head", 1, 2, 5),
    "L0.mlp": Writer("mlp", 0),
    "L2.mlp@3": Writer("mlp", 2, pos=3),
}


@pytest.mark.parametrize(("name", "writer"), NAMES.items())
def test_writers_are_read_as_they_are_written(name, writer):
    assert str(writer) == name
    assert Writer.parse(name) == writer


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("L4H0.q", Reader("q", 4, 0)),
        ("L4H1.k", Reader("k", 4, 1)),
        ("L3.mlp", Reader("mlp", 3)),
        ("final", Reader("final")),
    ],
)
def test_readers_are_read_as_they_are_written(name, reader):
    assert str(reader) == name
    assert Reader.parse(name) == reader


def test_other_ways_to_name_a_writer():
    assert Writer.parse("1.2") == Writer.parse("L1H2.z") == Writer("head", 1, 2)
    assert Writer.parse("L2.mlp_out@3") == Writer("mlp", 2, pos=3)
    labels = {"S2": 4}
    assert Writer.parse("L1H2@S2", labels) == Writer("head", 1, 2, 4)
    assert Writer.parse("embed@S2", labels) == Writer("embed", pos=4)
    assert Writer.parse("L2.mlp@S2", labels) == Writer("mlp", 2, pos=4)
    assert Writer.of(Head(1, 2)) == Writer("head", 1, 2)
    assert Writer.of(Node("mlp_out", 1, pos=2)) == Writer("mlp", 1, pos=2)
    assert Writer.of(Node("resid_pre", 0, pos=2)) == Writer("embed", pos=2)
    assert Reader.of(Node("q", 1, head=2)) == Reader("q", 1, 2)
    assert Writer("head", torch.tensor(1), torch.tensor(2)) == Writer("head", 1, 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Writer("neuron", 1), "unknown writer 'neuron': choose one of embed"),
        (lambda: Reader("z", 1, 2), "unknown reader 'z': choose one of q, k, v, mlp"),
        (lambda: Writer("head", 1), "a head writer needs head"),
        (lambda: Writer("mlp", 1, 0), "a mlp writer has no head"),
        (lambda: Writer("embed", 0), "a embed writer has no layer"),
        (lambda: Reader("final", 3), "a final reader has no layer"),
        (lambda: Reader("q", 3), "a q reader needs head"),
        (lambda: Reader("mlp", 1.5), "layer must be a whole number, got 1.5"),
        (lambda: Writer("head", 1, 2, True), "pos must be a whole number, got True"),
        (lambda: Writer.of(Head(1, 2, kind="q")), "L1H2.q is not a writer"),
        (lambda: Writer.of(Node("resid_pre", 1, pos=0)), "is not a writer"),
        (lambda: Writer.parse("attention"), "'attention' is not a writer"),
        (lambda: Writer.parse("L3"), "'L3' names a layer"),
        (lambda: Reader.of(Head(1, 2)), "L1H2.z is not a reader"),
        (lambda: Reader.of(Head(1, 2, kind="q", pos=3)), "at all positions"),
        (lambda: Reader.parse("L1H2"), "'L1H2' is not a reader"),
        (lambda: Reader.parse("L1H2.q@3"), "'L1H2.q@3' is not a reader"),
        (lambda: Reader.parse("L1H2.z"), "unknown reader 'z'"),
    ],
)
def test_what_is_no_end_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Writer("head", 3, 0), "L3H0: there is no layer 3, only 0 to 2"),
        (Writer("head", 0, 4), "there is no head 4, only 0 to 3"),
        (Writer("embed", pos=6), "there is no pos 6, only 0 to 5"),
        (Reader("q", 0, 4), "there is no head 4, only 0 to 3"),
        (Reader("k", 0, 4), "there is no KV head 4, only 0 to 1"),
        (
            Reader("v", 1, 3),
            r"Query head 3 is served by KV head 1: Reader\('v', 1, 1\)",
        ),
        (
            Reader("k", 1, 2),
            r"Query head 2 is served by KV head 1: Reader\('k', 1, 1\)",
        ),
        (Reader("mlp", -1), "there is no layer -1"),
    ],
)
def test_what_the_model_does_not_have_is_refused(end, words):
    with pytest.raises(IndexError, match=words):
        end.check(EXTENT)


def test_every_query_head_exists_under_grouping():
    for head in range(4):
        Reader("q", 0, head).check(EXTENT)
    for head in range(2):
        Reader("k", 0, head).check(EXTENT)


def test_no_mlp_is_said():
    attention_only = Extent(n_layers=3, n_heads=4, n_kv_heads=4, n_pos=6, d_mlp=0)
    for end in (Writer("mlp", 1), Reader("mlp", 1)):
        with pytest.raises(ValueError, match="the blocks of this model have no MLP"):
            end.check(attention_only)


@pytest.mark.parametrize(
    ("writer", "reader", "words"),
    [
        ("embed", "L0H0.q", None),
        ("embed", "final", None),
        ("L0H0", "L1H0.q", None),
        ("L0H0", "L0.mlp", None),
        ("L2H0", "final", None),
        ("L0.mlp", "L1H0.v", None),
        ("L1H0", "L1H0.q", "L1H0 -> L1H0.q leads to itself"),
        ("L1H0", "L1H1.v", "leads into its own layer: layer 1 reads before it writes"),
        ("L1.mlp", "L1.mlp", "L1.mlp -> L1.mlp leads to itself"),
        ("L1.mlp", "L1H0.k", "leads into its own layer"),
        ("L2H0", "L1H0.q", "runs backwards: layer 1 has read before layer 2 writes"),
        ("L2.mlp", "L1.mlp", "runs backwards"),
    ],
)
def test_where_the_stream_runs(writer, reader, words):
    found = obstacle(Writer.parse(writer), Reader.parse(reader), parallel=False)
    assert (found is None) if words is None else (words in found)


def test_in_a_parallel_block_nothing_reaches_its_own_mlp():
    writer, reader = Writer("head", 1, 0), Reader("mlp", 1)
    assert obstacle(writer, reader, parallel=False) is None
    found = obstacle(writer, reader, parallel=True)
    assert "an MLP reads the same stream as the heads of its layer" in found
    assert obstacle(writer, Reader("mlp", 2), parallel=True) is None
    assert obstacle(Writer("mlp", 1), Reader("q", 2, 0), parallel=True) is None


def test_paths_print_as_they_are_drawn():
    path = Path((Writer("head", 1, 2),), (Reader("q", 4, 0),))
    assert repr(path) == str(path) == "L1H2 -> L4H0.q"
    sets = Path(
        (Writer("head", 0, 1), Writer("mlp", 0)), (Reader("q", 1, 0), Reader("mlp", 1))
    )
    assert str(sets) == "L0H1 + L0.mlp -> L1H0.q + L1.mlp"
