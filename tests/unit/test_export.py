"""A widget as one file: what is in it, what is not, and that its text is inert."""

from __future__ import annotations

import base64
import json
import re
import struct
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from page import asked, floats
from toy_models import random_tokens

from patchwidget import Head, Pairs, PatchStudy, PatchWidget
from patchwidget.widget import export, kept
from patchwidget.widget.settings import KERNEL_OWNED, VIEW_OWNED

pytestmark = pytest.mark.usefixtures("recorded")
ROOT = Path(__file__).parents[2]
EVIL = "</script><!--<script>\"'&amp;\u2028</style>{braces}"


class Elements(HTMLParser):
    """The elements of a page as a browser sees them, with their text."""

    def __init__(self, page):
        super().__init__()
        self.found, self._open = [], None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self._open = [tag, dict(attributes), ""]
        self.found.append(self._open)

    def handle_data(self, data):
        if self._open:
            self._open[2] += data

    def handle_endtag(self, tag):
        self._open = None

    def of(self, tag):
        return [one for one in self.found if one[0] == tag]

    def json(self, identity):
        (text,) = (one[2] for one in self.found if one[1].get("id") == identity)
        return json.loads(text, parse_constant=lambda _: 1 / 0)


def unpacked(page):
    """The state of a page: what js/export.ts makes of it."""
    packed = Elements(page).json("pw-saved")
    value = packed["value"]
    for path, data in zip(packed["paths"], packed["buffers"], strict=True):
        *way, last = path
        at = value
        for key in way:
            at = at[key]
        at[last] = base64.b64decode(data)
    return value


@pytest.fixture
def saved(widget, tmp_path):
    """Saves the widget, and reads the page."""

    def save(**keys):
        return widget.to_html(tmp_path / "page.html", **keys).read_text("utf-8")

    return save


def test_the_state_in_the_file_is_that_of_the_widget(widget, saved):
    widget.selection = ["L0H1.q", "L1.mlp_out@3"]
    widget.names, widget.shown, widget.pair = {"L0H1": EVIL}, "known", 2
    traits = unpacked(saved())["traits"]
    assert set(traits) == {*KERNEL_OWNED, *VIEW_OWNED}
    for name in set(traits) - {"job", "study"}:
        assert traits[name] == getattr(widget, name), name
    study = {**widget.study, "model": Path(widget.study["model"]).name}
    assert json.loads(json.dumps(study)) == traits["study"]
    assert traits["verified"].keys() == {"L0H1.q", "L1.mlp_out@3"}
    assert traits["job"]["state"] == "idle"


def test_text_is_inert_wherever_it_stands(model, tmp_path):
    tokens = random_tokens()
    pairs = Pairs(*tokens[:2], answers=tokens[2], labels={EVIL: 3})
    study = PatchStudy(model, pairs)
    widget = PatchWidget(study, names={"L0H1": EVIL})
    record = {"clean": [EVIL] * 7, "corrupted": [EVIL] * 7, "answers": [EVIL, EVIL]}
    state = {**widget.study, "model": EVIL, "notice": EVIL, "pairs": [record] * 3}
    widget.set_trait("study", state)
    page = widget.to_html(tmp_path / "page.html").read_text("utf-8")
    elements = Elements(page)
    tags = [tag for tag, *_ in elements.found]
    assert tags == [
        "html", "head", "meta", "meta", "meta", "title", "style", "body", "main",
        "header", "p", "p", "noscript", "p", "div", "script", "script", "script",
    ]  # fmt: skip
    assert unpacked(page)["traits"]["study"] == state
    assert "braces" in elements.of("p")[0][2]
    frame = Elements(widget.snapshot()._repr_html_())
    assert [tag for tag, *_ in frame.found] == ["iframe", "small"]
    without_time = re.compile(r"\d\d:\d\d")
    srcdoc = frame.found[0][1]["srcdoc"]
    assert without_time.sub("", srcdoc) == without_time.sub("", page)


def test_nothing_in_the_file_leads_out_of_it(widget, saved):
    widget.selection = ["L0H1.q"]
    page = saved()
    addresses = set(re.findall(r"\w+://[^\s\"'`\\)<]*", page))
    # Names of XML's vocabularies, which nobody fetches.
    assert {one for one in addresses if "www.w3.org" not in one} == set()
    assert not re.search(
        r"\bsrc=|\bhref=|@import|url\((?!#)", page.partition("<body>")[0]
    )
    for private in (str(ROOT), str(Path.home()), str(Path.cwd())):
        assert private not in page.replace("\\", "")
    policy = Elements(page).of("meta")[2][1]["content"]
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("name", ["/home/somebody/models/own", r"C:\somebody\own"])
def test_a_model_from_a_folder_keeps_the_folder_to_itself(widget, saved, name):
    widget.set_trait("study", {**widget.study, "model": name})
    page = saved()
    assert "somebody" not in page
    assert unpacked(page)["traits"]["study"]["model"] == "own"
    assert "somebody" not in repr(widget)


def test_only_this_widgets_state_is_inside(model, saved, widget):
    other = PatchWidget(
        PatchStudy(model, *random_tokens()), names={"L1H1": "of the other"}
    )
    assert other.names
    assert "of the other" not in saved()


def test_its_size_is_the_front_end_and_little_more(saved):
    static = ROOT / "patchwidget/static"
    front_end = sum(path.stat().st_size for path in static.iterdir())
    assert len(saved()) < 1.1 * front_end + 40_000


def test_the_sentence_says_what_it_is_and_what_is_missing(widget, saved):
    page = saved(attention=["L0H1", "L1H2.q"])
    origin, missing = (unescape(text) for _, _, text in Elements(page).of("p")[:2])
    assert re.search(r"patchwidget \d+\.\d+\.\d+ on \d{4}-\d\d-\d\d \d\d:\d\d", origin)
    assert Path(widget.study["model"]).name in origin
    assert "3 pairs of 7 tokens" in origin
    assert "".join(widget.study["pairs"][0]["clean"])[:20] in origin
    assert "no kernel" in missing
    assert (
        "effects by position of L0H1, L1H2, and their attention in all pairs" in missing
    )
    assert "No attention is inside" in saved(attention=[])


# --- answers that go along --------------------------------------------------------------


def test_attention_is_what_the_kernel_would_answer(widget, saved):
    answers = unpacked(saved(attention=["L1H2.z", Head(0, 0, "k")]))["answers"]
    for pair in (-1, 0, 2):
        for name in ("L1H2.pattern", "L0H0.pattern"):
            payload, buffers = asked(widget, "attention.get", nodes=[name], pair=pair)
            answer = answers[f"attention.get {name} {pair}"]
            assert answer["payload"] == payload
            assert answer["buffers"] == [bytes(one) for one in buffers]
    assert not any("L1H1" in key for key in answers)


def test_rows_are_what_the_kernel_would_answer(widget, saved):
    widget.method = "atp_qk"
    answers = unpacked(saved(attention=["L1H2"]))["answers"]
    rows = {key for key in answers if key.startswith("row.get")}
    assert rows == {f"row.get L1H2.{kind}" for kind in ("z", "q", "k", "v", "pattern")}
    for key in rows:
        payload, buffers = asked(widget, "row.get", node=key.split()[1])
        assert answers[key]["payload"] == payload
        assert (
            floats(answers[key]["buffers"][0]).tolist() == floats(buffers[0]).tolist()
        )


def test_the_heads_of_the_picks_are_inside_by_themselves(widget, saved):
    widget.selection = ["L0H1.q@3", "L1.resid_pre@2"]
    answers = unpacked(saved())["answers"]
    heads = {key.split()[1].split(".")[0] for key in answers}
    assert heads == {"L0H1"}


def test_one_pair_of_one_token(model, tmp_path):
    tokens = torch.tensor([[3]]), torch.tensor([[4]])
    widget = PatchWidget(
        PatchStudy(model, *tokens, metric=lambda logits: logits[0, 0, 1])
    )
    page = widget.to_html(tmp_path / "a.html", ["L0H0"]).read_text("utf-8")
    patterns = unpacked(page)["answers"]["attention.get L0H0.pattern 0"]["buffers"][0]
    assert np.frombuffer(patterns, "<u2").tolist() == [65535]
    assert "1 pair of 1 token;" in page


def test_too_much_attention_keeps_the_pair_on_show_and_the_mean(
    widget, saved, monkeypatch
):
    widget.pair = 2
    monkeypatch.setattr(kept, "MOST_BYTES", 4 * 2 * (2 * 28 + 4 * 7) - 1)
    page = saved(attention=["L0H1"])
    found = {key for key in unpacked(page)["answers"] if key.startswith("attention")}
    assert found == {f"attention.get L0H1.pattern {pair}" for pair in (-1, 2)}
    assert "attention in the mean of all pairs and pair 3." in page
    widget.pair = -1
    page = saved(attention=["L0H1"])
    assert "attention in the mean of all pairs." in page
    monkeypatch.setattr(kept, "MOST_BYTES", 4 * 2 * (2 * 28 + 4 * 7))
    assert "in all pairs." in saved(attention=["L0H1"])


def test_what_is_not_a_head_of_the_model_is_refused(widget, tmp_path):
    path = tmp_path / "a.html"
    for wrong, error in [("L9H0", IndexError), ("mover", ValueError)]:
        with pytest.raises(error):
            widget.to_html(path, [wrong])
        with pytest.raises(error):
            widget.snapshot([wrong])
    assert not path.exists()


# --- the state that is saved is one that was computed -----------------------------------


def test_a_method_that_is_still_on_its_way_is_not_claimed(widget, saved, monkeypatch):
    monkeypatch.setattr(widget._jobs, "start", lambda *_: None)
    widget.method, widget.direction = "relp", "noising"
    traits = unpacked(saved())["traits"]
    assert (traits["method"], traits["direction"]) == ("atp", "denoising")
    assert widget.method == "relp", "the widget itself is left as it was"


def test_a_running_job_is_not_saved_as_running(widget, saved):
    widget.set_trait("job", {**widget.job, "state": "running", "label": "this"})
    assert unpacked(saved())["traits"]["job"]["state"] == "idle"
    assert widget.job["state"] == "running"


# --- files ------------------------------------------------------------------------------


def test_a_file_that_cannot_be_finished_leaves_the_old_one(
    widget, tmp_path, monkeypatch
):
    path = tmp_path / "page.html"
    path.write_text("the old one")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        widget.to_html(path)
    assert path.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_and_nothing_else_is_left(widget, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("the old one")
    assert widget.to_html(str(path)) == path
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        widget.to_html(tmp_path / "nowhere" / "page.html")


def test_the_script_that_runs_ends_no_element():
    """The one text of the page that is not escaped, beside the style sheet."""
    for name in ("export.js", "widget.css"):
        text = (ROOT / "patchwidget/static" / name).read_text("utf-8")
        assert not re.search(r"</|<!--|<script", text)


# --- in a notebook without a kernel -----------------------------------------------------


def test_a_snapshot_is_a_frame_that_reaches_nothing(widget):
    snapshot = widget.snapshot(["L0H1"], height=321)
    ((_, attributes, _), _) = Elements(snapshot._repr_html_()).found
    assert attributes["sandbox"].split() == ["allow-scripts", "allow-downloads"]
    assert "height: 321px" in attributes["style"]
    assert "attention.get L0H1.pattern 0" in unpacked(attributes["srcdoc"])["answers"]
    assert repr(snapshot).startswith("<Snapshot: patchwidget, saved 2")


def test_the_output_has_the_live_view_a_picture_and_words(widget):
    widget.selection = ["L0H1.q"]
    data, _ = widget._repr_mimebundle_()
    view = data["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == widget.model_id
    picture = base64.b64decode(data["image/png"])
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24])[0] > 100
    assert data["text/plain"] == repr(widget)


def test_words_tell_what_is_studied_and_what_is_known(widget):
    assert "nothing verified yet" in repr(widget)
    widget.selection = ["L0H1.q", "L1H0.z"]
    words = repr(widget)
    assert "denoising, logit_diff" in words
    assert "3 pairs of 7 tokens" in words
    exact = widget.verified["L0H1.q"]["exact"]
    line = rf"L0H1\.q +estimate +\S+ +exact {re.escape(f'{exact:+.3f}')}"
    assert re.search(line, words)
    widget.selection = [f"L{layer}H{head}.v" for layer in (0, 1) for head in range(3)]
    assert "and 3 more in widget.verified" in repr(widget)
    widget.close()
    assert "denoising" in repr(widget)


def test_a_widget_that_could_not_be_made_has_words_too():
    widget = PatchWidget.__new__(PatchWidget)
    assert "nothing to show" in repr(widget)
