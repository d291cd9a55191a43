"""Whatever a file holds, loading it gives a study or the documented error, and no more."""

from __future__ import annotations

import json
import random
import tracemalloc
from contextlib import contextmanager
from copy import deepcopy

import pytest
import torch
from saved_studies import HEADS, busy_study
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.saving import NeedsModelError, SavedFileError
from patchwidget.saving.container import pack, unpack

# What reading may allocate besides: json's own scanner, messages, file buffers.
LEAST_BYTES = 2**20
TIMES = 40
TENSOR_FORMS = (torch.float32, torch.int64, torch.int32, torch.bool, torch.float64)
ODD_VALUES = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 1.5, -0.0, 1e308, 1e-320),
    *(
        "",
        "z",
        "q",
        "denoising",
        "<script>alert(1)</script>",
        "\0",
        "../../x",
        "é" * 99,
    ),
    *("\ud800", "L0H0.z@9"),
    *([], {}, [[]], [None], ["z"], {"a": 1}, [{}], [{"name": "x"}], [1, 2, 3]),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    model = random_model(STYLES[-1], n_layers=1, n_heads=2)
    study = busy_study(model, random_tokens(2, 3, differ=(1,)))
    path = tmp_path_factory.mktemp("fuzz") / "study.patchwidget"
    study.save(path, attention=HEADS)
    return path


def damaged(data, draw):
    """Bytes that were changed, moved, left out or put in."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        place, size = draw.randrange(len(data) + 1), draw.choice((1, 2, 8, 100))
        # The header is where things go wrong; it is a tenth of the file.
        place = draw.choice((place, place % 3000, place % 9))
        other = draw.randrange(len(data) + 1)
        match draw.randrange(6):
            case 0:
                data[place : place + size] = draw.randbytes(size)
            case 1:
                del data[place : place + size]
            case 2:
                data[place:place] = draw.randbytes(size)
            case 3:
                data[place : place + size] = data[other : other + size]
            case 4:
                del data[place:]
            case 5:
                digits = str(draw.choice((0, 7, 2**31, 2**64, -1))).encode()
                data[place : place + len(digits)] = digits
    return bytes(data)


def tampered(record, tensors, draw):
    """A file with a right checksum that says something else."""
    record, tensors = json.loads(json.dumps(record)), dict(tensors)
    for _ in range(draw.choice((1, 1, 2, 4))):
        if draw.random() < 0.6:
            change_record(record, draw)
        else:
            change_tensors(tensors, draw)
    return pack(record, tensors)


def change_record(record, draw):
    parent, value = None, record
    while (
        isinstance(value, (dict, list))
        and value
        and (parent is None or draw.random() < 0.8)
    ):
        parent = value
        key = draw.choice(list(value) if isinstance(value, dict) else range(len(value)))
        value = parent[key]
    match draw.randrange(4):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, list):
            parent.append(deepcopy(value))
        case _:
            parent[key] = deepcopy(draw.choice((*ODD_VALUES, near(value))))


def near(value):
    return value + 1 if type(value) in (int, float) else f"{value}"


def change_tensors(tensors, draw):
    name, other = draw.choice(list(tensors)), draw.choice(list(tensors))
    value = tensors[name]
    match draw.randrange(7):
        case 0:
            del tensors[name]
        case 1:
            tensors[name] = tensors[other]
        case 2:
            tensors[name] = value.to(draw.choice(TENSOR_FORMS))
        case 3:
            tensors[name] = value.flatten()[: draw.randrange(value.numel() + 1)]
        case 4:
            tensors[name] = value[None]
        case 5:
            tensors[draw.choice(("new", "denoising.grid.99", name + "0"))] = value
        case 6 if value.numel():
            value = value.clone()
            odd = draw.choice((0, -1, 2**30, 1)) if value.dtype != torch.bool else True
            if value.is_floating_point():
                odd = draw.choice((float("nan"), float("inf"), -0.0, 1e30))
            value.view(-1)[draw.randrange(value.numel())] = odd
            tensors[name] = value


def look(study):
    """What a viewer asks of a study."""
    repr(study)
    for one in (study, *([study.reversed()] if len(study.directions) > 1 else [])):
        assert len(one.baselines) == 2
        for asked in one._side.grids:
            options = json.loads(asked.options or "{}")
            assert isinstance(options, object)
            assert one.methods(asked.kind, by=asked.by) is not None
        one.verified  # noqa: B018 - made when asked for
        for metric in one.metrics:
            one.known("z", metric=metric)
        for kind in ("z", "resid_pre"):
            one.obstacle(kind)
            try:
                one.moving(kind)
                one.estimate(kind).shown  # noqa: B018 - made when asked for
                one.attention(["L0H0.z"])
            except NeedsModelError:
                pass


def fuzz(path, cases, seed):
    """How many of the cases were refused, and how many could still be looked at."""
    draw = random.Random(seed)  # noqa: S311 - no secrets
    data, (record, tensors) = path.read_bytes(), unpack(path)
    place, refused, fine = path.with_name("case"), 0, 0
    for _ in range(cases):
        is_damage = draw.random() < 0.5
        case = damaged(data, draw) if is_damage else tampered(record, tensors, draw)
        place.write_bytes(case)
        with bounded(TIMES * len(case) + LEAST_BYTES):
            study = loaded(place)
        if study is None:
            refused += 1
        else:
            assert not is_damage or case == data
            look(study)
            fine += 1
    return refused, fine


def loaded(place):
    try:
        return PatchStudy.load(place)
    except SavedFileError as error:
        assert str(error).startswith(str(place))  # noqa: PT017 - one case of many
        return None


@contextmanager
def bounded(most):
    """No more memory is taken inside, where it is traced: that takes long."""
    if not tracemalloc.is_tracing():
        yield
        return
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    yield
    assert tracemalloc.get_traced_memory()[1] - before < most


def test_a_thousand_files(path):
    tracemalloc.start()
    try:
        refused, fine = fuzz(path, 1_000, seed=0)
    finally:
        tracemalloc.stop()
    assert refused > 500
    assert fine > 25


@pytest.mark.long
def test_a_hundred_thousand_files(path):
    refused, fine = fuzz(path, 100_000, seed=1)
    assert refused > 50_000
    assert fine > 2_500
