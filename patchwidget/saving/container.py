"""The file of a saved study: safetensors, with one JSON record in its metadata.

Eight bytes with the header's length, a JSON header, and the tensors' bytes: nothing in it
is code, and nothing is run on reading. Every byte is under a checksum. Sizes that the
header states are compared with the file's before anything of that size is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise
from math import prod
from typing import Any, BinaryIO, cast

from torch import Tensor

from patchwidget.saving.errors import SavedFileError

FORMAT = 1
"""Version of what is in the file; see `decode`."""
MOST_HEADER_BYTES = 2**25
_MOST_AXES = 8
_LONGEST_AXIS = 2**31 - 1
_FIELD = b'"sha256":"'
_NO_DIGEST = b"0" * 64
_METADATA = {"patchwidget", "record", "sha256"}
_ENTRY = {"dtype", "shape", "data_offsets"}
_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "F16": 2, "BF16": 2}
_BYTES |= {"I32": 4, "F32": 4, "I64": 8, "F64": 8}
_DAMAGED = "copy it again, or save the study once more"
_NOT_OURS = "PatchStudy.load reads what study.save(path) has written"

Record = dict[str, Any]


class _DamagedError(ValueError):
    """Why a file's bytes are not what was written."""


def pack(record: Record, tensors: Mapping[str, Tensor]) -> bytes:
    """A file's bytes.

    Raises:
        ValueError: if the record is too large.
    """
    from safetensors.torch import save

    own = {name: one.detach().cpu().clone() for name, one in tensors.items()}
    text = json.dumps(record, allow_nan=False)
    metadata = {
        "patchwidget": str(FORMAT),
        "record": text,
        "sha256": _NO_DIGEST.decode(),
    }
    data = bytearray(save({k: v.contiguous() for k, v in own.items()}, metadata))
    length = int.from_bytes(data[:8], "little")
    if length > MOST_HEADER_BYTES:
        raise ValueError(
            f"the texts of this study take {length:,} bytes, and at most "
            f"{MOST_HEADER_BYTES:,} can be saved: use fewer prompts"
        )
    place = _digest_place(bytes(data[8 : 8 + length]))
    data[8 + place : 8 + place + 64] = _digest(data, 8 + place).encode()
    return bytes(data)


def unpack(path: str | os.PathLike[str]) -> tuple[Record, dict[str, Tensor]]:
    """The record and the tensors of a file.

    Takes at most twice the file's size, and sixty times its header's.

    Raises:
        SavedFileError: if it is no saved study, of another format, or damaged.
        OSError: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - any path-like
            data, metadata = _read(file, path)
        _check_digest(data, metadata["sha256"])
        return _json(metadata["record"]), _tensors(data)
    except _DamagedError as error:
        raise SavedFileError(
            f"{os.fspath(path)} is cut off or damaged ({error}): {_DAMAGED}"
        ) from None


def _read(file: BinaryIO, path: str | os.PathLike[str]) -> tuple[bytes, dict[str, str]]:
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= min(size - 8, MOST_HEADER_BYTES):
        raise _DamagedError(
            f"{size:,} bytes, with a header of {length:,}; or it is no saved study: "
            + _NOT_OURS
        )
    header = file.read(length)
    table = _json(header)
    metadata = _metadata(table.pop("__metadata__", None), path)
    _check_layout(table, size - 8 - length)
    return start + header + file.read(size - 8 - length), metadata


def _json(text: bytes | str) -> Record:
    """An object whose names all differ, and whose numbers are numbers."""
    try:
        found = json.loads(
            text if isinstance(text, str) else text.decode(),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise _DamagedError("its header is nested too deeply") from None
    except ValueError as error:
        raise _DamagedError(f"its header is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise _DamagedError("its header is no object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> Record:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _metadata(found: object, path: str | os.PathLike[str]) -> dict[str, str]:
    if not isinstance(found, dict) or "patchwidget" not in found:
        raise SavedFileError(f"{os.fspath(path)} is not a saved study: {_NOT_OURS}")
    version = found["patchwidget"]
    if version != str(FORMAT):
        raise SavedFileError(
            f"{os.fspath(path)} is in format {str(version)[:20]!r} of saved studies, and "
            f"this patchwidget reads '{FORMAT}': install the newest patchwidget"
        )
    if set(found) != _METADATA or not all(isinstance(v, str) for v in found.values()):
        raise _DamagedError("its metadata are not those of a saved study")
    return cast("dict[str, str]", found)


def _check_layout(table: Record, size: int) -> None:
    """Refuse tensors that are not exactly the bytes behind the header."""
    spans = sorted(_span(name, entry, size) for name, entry in table.items())
    bounds = [(0, 0), *spans, (size, size)]
    if any(before[1] != after[0] for before, after in pairwise(bounds)):
        raise _DamagedError(f"its tensors do not fill the {size:,} bytes that it has")


def _span(name: str, entry: object, size: int) -> tuple[int, int]:
    if not isinstance(entry, dict) or set(entry) != _ENTRY:
        raise _DamagedError(f"tensor {name[:40]!r} is not described")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    is_known = isinstance(dtype, str) and dtype in _BYTES
    if not is_known or not _are_sizes(shape, _MOST_AXES, _LONGEST_AXIS):
        raise _DamagedError(f"tensor {name[:40]!r} has an impossible form")
    if not _are_sizes(offsets, 2, size) or len(offsets) != 2:
        raise _DamagedError(f"tensor {name[:40]!r} lies outside of the file")
    if offsets[1] - offsets[0] != prod(shape) * _BYTES[dtype]:
        raise _DamagedError(f"tensor {name[:40]!r} has not the bytes of its form")
    return offsets[0], offsets[1]


def _are_sizes(values: object, most: int, largest: int) -> bool:
    if not isinstance(values, list) or len(values) > most:
        return False
    return all(type(value) is int and 0 <= value <= largest for value in values)


def _check_digest(data: bytes, digest: str) -> None:
    length = int.from_bytes(data[:8], "little")
    place = 8 + _digest_place(data[8 : 8 + length])
    stands = data[place : place + 64].decode("ascii", "replace")
    if stands != digest or _digest(data, place) != digest:
        raise _DamagedError("its checksum does not fit")


def _digest_place(header: bytes) -> int:
    """Where in the header the checksum stands, as 64 hexadecimal digits."""
    if header.count(_FIELD) != 1:
        raise _DamagedError("its checksum is not where it belongs")
    return header.index(_FIELD) + len(_FIELD)


def _digest(data: bytes | bytearray, place: int) -> str:
    """Checksum of a whole file, in which its own place counts as zeros."""
    found, seen = sha256(), memoryview(data)
    for part in (seen[:place], _NO_DIGEST, seen[place + 64 :]):
        found.update(part)
    return found.hexdigest()


def _tensors(data: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found: dict[str, Tensor] = load(data)
    except SafetensorError as error:
        raise _DamagedError(str(error)) from None
    return found
