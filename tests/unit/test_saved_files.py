"""Damaged files are refused with a reason, and a save that fails leaves the old one whole."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import resource
import stat
import tracemalloc

import pytest
import torch
from safetensors import safe_open

from patchwidget import PatchStudy
from patchwidget.saving import SavedFileError, atomic, container
from patchwidget.saving.container import MOST_HEADER_BYTES, pack


@pytest.fixture
def path(study, tmp_path):
    study.estimate("z")
    study.exact(["L0H0.z"])
    study.save(tmp_path / "study.patchwidget")
    return tmp_path / "study.patchwidget"


@pytest.fixture
def data(path):
    return path.read_bytes()


def refused(path, reason="is cut off or damaged"):
    """The file is refused, by its name, and with what to do."""
    with pytest.raises(SavedFileError, match=reason) as raised:
        PatchStudy.load(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert re.search("save the study once more|install the newest|has written", message)


def header_length(data):
    return int.from_bytes(data[:8], "little")


def test_it_is_a_safetensors_file_and_nothing_else(path, data):
    length = header_length(data)
    assert data[8:9] == b"{"
    header = json.loads(data[8 : 8 + length])
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == set(header) - {"__metadata__"}
        assert file.metadata()["patchwidget"] == "1"
        assert json.loads(file.metadata()["record"])["model"]["name"]


def test_nothing_of_it_can_be_run(path, monkeypatch):
    for name in ("pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load"):
        monkeypatch.setattr(name, None)
    for name in ("eval", "exec", "compile"):
        monkeypatch.setattr(f"builtins.{name}", None)
    PatchStudy.load(path)


def test_a_flipped_byte_is_refused_wherever_it_is(path, data):
    draw = random.Random(0)  # noqa: S311 - places, no secrets
    length = header_length(data)
    everywhere = draw.sample(range(len(data)), 200)
    in_the_header = draw.sample(range(8 + length), 200)
    in_the_tensors = draw.sample(range(8 + length, len(data)), 50)
    for place in (*range(16), *everywhere, *in_the_header, *in_the_tensors):
        damaged = bytearray(data)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(SavedFileError):
            PatchStudy.load(path)


def test_white_space_in_the_header_counts_too(path, data):
    length = header_length(data)
    longer = (length + 8).to_bytes(8, "little") + data[8 : 8 + length] + b" " * 8
    path.write_bytes(longer + data[8 + length :])
    refused(path, "checksum does not fit")


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, 0.3, 0.5, 0.9, -1])
def test_a_cut_off_file_is_refused(path, data, kept):
    stop = int(kept * len(data)) if isinstance(kept, float) else kept
    path.write_bytes(data[:stop])
    refused(path)


def test_a_file_with_more_at_its_end_is_refused(path, data):
    path.write_bytes(data + b"\0")
    refused(path, "do not fill")


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 a zip, as torch.save writes",
        b"\x80\x04 a pickle.",
        b"{}",
        b"\0" * 99,
    ],
)
def test_another_kind_of_file_is_refused(path, content):
    path.write_bytes(content)
    refused(path, "no saved study")


def test_other_safetensors_are_refused(path):
    from safetensors.torch import save_file

    for metadata in (None, {"format": "pt"}):
        save_file({"weight": torch.ones(2)}, path, metadata)
        refused(path, "is not a saved study")


@pytest.mark.parametrize("version", [0, 2, "2.1", "x" * 1000])
def test_another_format_is_refused(path, monkeypatch, version):
    monkeypatch.setattr(container, "FORMAT", version)
    path.write_bytes(pack({"anything": "else"}, {"new": torch.ones(1)}))
    monkeypatch.undo()
    shown = re.escape(repr(str(version)[:20]))
    refused(
        path, rf"is in format {shown} of saved studies, and this patchwidget reads '1'"
    )


def test_sizes_are_compared_before_anything_is_read(path, data, monkeypatch):
    """A file of 100 bytes that says it has a terabyte."""
    big = json.dumps(
        {
            "__metadata__": {"patchwidget": "1", "record": "{}", "sha256": "0" * 64},
            "x": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]},
        }
    ).encode()
    monkeypatch.setattr("safetensors.torch.load", None)
    monkeypatch.setattr(container, "_check_digest", None)
    for header, length in (
        (big, len(big)),
        (b"{}", 2**63),
        (b"{}", MOST_HEADER_BYTES + 1),
        (b"{}", 1000),
    ):
        path.write_bytes(length.to_bytes(8, "little") + header + b"\0" * 64)
        refused(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [0, 2**40], "data_offsets": [0, 0]},
        {"dtype": "C64", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": 1},
        [],
        None,
    ],
    ids=str,
)
def test_impossible_tensors_are_refused(path, entry):
    metadata = {"patchwidget": "1", "record": "{}", "sha256": "0" * 64}
    header = json.dumps({"__metadata__": metadata, "x": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    refused(path)


@pytest.mark.parametrize("tiny", [b'{"":0}', b"[]", b'{"":{}}', b"1.5", b'"a"'])
def test_a_header_of_tiny_things_takes_what_is_stated(path, tiny):
    header = b'{"":[' + b",".join([tiny] * 100_000) + b"]}"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    tracemalloc.start()
    try:
        refused(path, "is not a saved study")
        assert tracemalloc.get_traced_memory()[1] < 60 * len(header)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":NaN}',
        b'{"a":1,"a":2}',
        b'{"__metadata__":{"patchwidget":"1"}}',
        b'{"__metadata__":{"patchwidget":"1","record":1,"sha256":"0"}}',
        b'{"__metadata__":{"patchwidget":"1","record":"{}","sha256":"\\u00e9"}}',
        b'{"__metadata__":{"patchwidget":"1","record":"\\ud800","sha256":"\\ud800"}}',
        b'{"__metadata__":["patchwidget"]}',
        b'{"a":' + b"9" * 10_000 + b"}",
        b"\xff\xfe{}",
        b"[]",
    ],
    ids=range(12),
)
def test_impossible_headers_are_refused(path, header):
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refused(path, "cut off or damaged|is not a saved study")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_interrupts_a_save_leaves_the_old_file(
    path, study, monkeypatch, error, step
):
    data = path.read_bytes()

    def stop(*_):
        raise error

    study.exact("q")
    monkeypatch.setattr(atomic.os, step, stop)
    with pytest.raises(type(error)):
        study.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]
    study.save(path)
    assert len(PatchStudy.load(path).verified) == len(study.verified)


def test_a_disk_that_takes_half_of_it_leaves_the_old_file(path, data, study):
    """A real short write: this process may not make files longer than this."""
    study.exact("q")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            study.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


def test_where_nothing_can_be_written(study, tmp_path):
    with pytest.raises(FileNotFoundError):
        study.save(tmp_path / "nowhere" / "s")
    with pytest.raises(OSError, match="directory"):
        study.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_file_has_the_rights_of_any_other(path, study, tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    rights = [stat.S_IMODE(one.stat().st_mode) for one in (path, tmp_path / "plain")]
    assert rights[0] == rights[1]
    path.chmod(0o600)
    study.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_link_points_to_is_replaced(path, data, study, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    study.exact("q")
    study.save(link)
    assert link.is_symlink()
    assert path.read_bytes() != data
    assert len(PatchStudy.load(link).verified) == len(study.verified)


def test_paths_may_be_text(study, tmp_path):
    name = os.fspath(tmp_path / "s")
    study.save(name)
    assert PatchStudy.load(name).metric == study.metric


def test_too_many_texts_are_refused_when_they_are_saved(path, data, study, monkeypatch):
    monkeypatch.setattr(container, "MOST_HEADER_BYTES", 1000)
    with pytest.raises(ValueError, match="use fewer prompts"):
        study.save(path)
    assert path.read_bytes() == data
