"""The picture of the maps: the numbers' own colours, in a file that any viewer reads."""

from __future__ import annotations

import re
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from patchwidget import PatchWidget
from patchwidget.widget import colours, pixels
from patchwidget.widget.colours import INK, PAPER, coloured
from patchwidget.widget.settings import KERNEL_OWNED
from patchwidget.widget.thumbnail import WIDTH, thumbnail

ROOT = Path(__file__).parents[2]
TALL, WIDE = 3, 5


def decoded(data):
    """The pixels of a PNG `[height, width, 3]`, by the format's own rules."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (check,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(name + body)
        chunks.append((name, body))
        at += 12 + length
    assert [name for name, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert rest == [8, 2, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(chunks[1][1]), np.uint8)
    lines = lines.reshape(height, 1 + 3 * width)
    assert set(lines[:, 0]) == {2}, "each byte is what differs from the one above"
    return lines[:, 1:].cumsum(0).astype(np.uint8).reshape(height, width, 3)


def grid(values, kind="z", method="atp", *, signed=True):
    values = np.asarray(values, "<f4")
    return {
        "kind": kind,
        "method": method,
        "signed": signed,
        "shape": list(values.shape),
        "data": values.tobytes(),
    }


def result(exact, estimate):
    return {"exact": exact, "estimate": estimate}


def colours_in(picture):
    return {tuple(int(one) for one in row) for row in picture.reshape(-1, 3)}


def colour_of(value, scale, *, signed=True):
    return tuple(map(int, coloured(np.float32([value]), scale, signed=signed)[0]))


def test_a_picture_is_read_back_as_it_was():
    picture = np.random.default_rng(0).integers(0, 256, (TALL, WIDE, 3), np.uint8)
    assert np.array_equal(decoded(pixels.png(picture)), picture)


def test_pillow_agrees():
    image = pytest.importorskip("PIL.Image")
    picture = np.random.default_rng(1).integers(0, 256, (TALL, WIDE, 3), np.uint8)
    import io

    read = image.open(io.BytesIO(pixels.png(picture)))
    assert np.array_equal(np.asarray(read), picture)


def test_colours_are_the_pages_own():
    """Numbers of the page's source, read from there."""
    source = (ROOT / "js/draw/colour.ts").read_text("utf-8")

    def number(name):
        return float(re.search(rf"const {name} = ([\d.]+);", source)[1])

    assert (number("RED"), number("BLUE"), number("PURPLE"), number("STEPS")) == (
        colours.RED,
        colours.BLUE,
        colours.PURPLE,
        colours.STEPS,
    )
    (light,) = re.findall(r"const LIGHT = \{(.*?)\} as const", source)
    stops = re.findall(r"(\w+): \[([\d.]+), ([\d.]+)\]", light)
    assert {name: (float(a), float(b)) for name, a, b in stops} == {
        "zero": colours.ZERO,
        "half": colours.HALF,
        "end": colours.END,
    }
    for matrix in (colours._TO_CONES, colours._TO_LINEAR):
        for factor in np.abs(matrix).ravel():
            assert factor == 1 or np.format_float_positional(factor) in source


def test_colours_mean_signs_and_sizes():
    red, zero, blue = (np.array(colour_of(value, 1), int) for value in (-1, 0, 1))
    assert red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50
    assert zero.min() > 235
    assert colour_of(7, 1) == colour_of(1, 1), "beyond the scale, its end"
    assert colour_of(np.inf, 1) == colour_of(1, 1)
    assert colour_of(np.nan, 1) == PAPER
    assert colour_of(0.5, 0) == colour_of(0, 1), "no scale, no colour"


def test_every_letter_has_its_own_form():
    forms = {pixels._letter(one).tobytes() for one in pixels._ALPHABET}
    assert len(forms) == len(pixels._ALPHABET)
    picture = np.full((10, 40, 3), 255, np.uint8)
    pixels.write(picture, "<é\u2028", 0, 0, INK)
    assert colours_in(picture) == {(255, 255, 255)}, "no letter, no ink"
    pixels.write(picture, "L" * 100, 0, 0, INK)
    assert np.array_equal(picture[:, :2], np.full((10, 2, 3), INK))


def test_cells_have_the_colours_of_their_values():
    values = np.linspace(-1, 0.5, TALL * WIDE).reshape(TALL, WIDE)
    picture = decoded(thumbnail({"a": grid(values)}, {}, "estimate"))
    assert picture.shape[1] == WIDTH
    found = colours_in(picture)
    assert {colour_of(value, 1.0) for value in values.ravel()} <= found
    # Layer 0 is on top, head 0 on the left: the lowest value stands first.
    first = np.argwhere((picture == colour_of(-1, 1.0)).all(-1))
    last = np.argwhere((picture == colour_of(0.5, 1.0)).all(-1))
    assert (first.max(0) < last.min(0)).all()


@pytest.mark.parametrize(
    ("shown", "cell", "others"),
    [
        ("estimate", 0.25, True),
        ("known", -1.0, True),
        ("exact", -1.0, False),
        ("miss", 1.25, False),
    ],
)
def test_what_is_shown_is_what_the_page_shows(shown, cell, others):
    values = np.full((TALL, WIDE), 0.5)
    values[1, 2] = 0.25
    verified = {"L1H2.z": result(-1.0, 0.25), "L1H2.z@1": result(3.0, 0.1)}
    picture = decoded(thumbnail({"a": grid(values)}, verified, shown))
    found = colours_in(picture)
    scale = 1.25 if shown == "miss" else 1.0
    assert colour_of(cell, scale, signed=shown != "miss") in found
    assert (colour_of(0.5, scale) in found) == others


def test_a_verified_cell_has_a_corner():
    values = np.full((TALL, WIDE), 0.5)
    before = decoded(thumbnail({"a": grid(values)}, {}, "estimate"))
    verified = {"L1H2.z": result(0.5, 0.5)}
    after = decoded(thumbnail({"a": grid(values)}, verified, "estimate"))
    changed = (before != after).any(-1)
    assert changed.sum() == 9
    assert colours_in(after[changed]) == {INK}


def test_a_method_without_signs_is_judged_by_sizes():
    values = np.full((TALL, WIDE), 0.5)
    grids = {"a": grid(values, signed=False)}
    picture = decoded(thumbnail(grids, {"L0H0.z": result(-0.75, 0.5)}, "miss"))
    assert colour_of(0.25, 0.75, signed=False) in colours_in(picture)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("shown", ["estimate", "miss"])
def test_numbers_that_are_missing_are_no_obstacle(value, shown):
    values = np.full((TALL, WIDE), value)
    verified = {"L0H0.z": result(1.0, None)}
    assert len(decoded(thumbnail({"a": grid(values)}, verified, shown))) > 20


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (80, 3), (48, 2000)])
def test_odd_shapes_fit(shape):
    grids = {
        "a": grid(np.ones(shape), "resid_pre"),
        "b": grid(np.ones((shape[0], 128)), "q"),
    }
    picture = decoded(thumbnail(grids, {}, "estimate"))
    assert picture.shape[1] == WIDTH
    assert len(picture) < 1500


def test_nothing_at_all_is_a_picture_too():
    assert colours_in(decoded(thumbnail({}, {}, "estimate"))) == {PAPER}


def test_no_text_of_the_study_is_in_it(widget):
    """The picture is made of maps and results only: there is no other way in."""
    before = thumbnail(widget.grids, widget.verified, widget.shown)
    widget.names = {"L0H1": "<script>alert(1)</script>"}
    assert thumbnail(widget.grids, widget.verified, widget.shown) == before
    assert "study" in KERNEL_OWNED


def test_it_is_made_when_it_is_asked_for_and_quickly(labelled, recorded, monkeypatch):
    from patchwidget.widget import sharing

    made = []
    monkeypatch.setattr(
        sharing, "thumbnail", lambda *args: made.append(args) or thumbnail(*args)
    )
    widget = PatchWidget(labelled, selection=["L0H1"])
    assert made == []
    widget._repr_mimebundle_()
    assert len(made) == 1
    times = []
    for _ in range(20):
        started = time.perf_counter()
        widget._repr_mimebundle_()
        times.append(time.perf_counter() - started)
    # The quickest: other programs run on the machine that tests.
    assert min(times) < 0.02
