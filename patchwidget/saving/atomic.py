"""A file is replaced as a whole, or left as it was."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path


def write(path: str | os.PathLike[str], parts: Iterable[bytes]) -> None:
    """Write a file beside the old one, and put it in its place when it is on the disk.

    Whatever happens on the way, a full disk, an interrupt or a kill, the old file is
    whole. Only a kill leaves the unfinished file `.NAME.*.unfinished` behind.

    Args:
        path: of the file; where it is a link, what it points to is replaced.
        parts: its bytes.

    Raises:
        OSError: if it cannot be written.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.unfinished")
    try:
        with beside.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        os.replace(beside, target)  # noqa: PTH105 - the name that its users know
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _settle(target.parent)


def _settle(folder: Path) -> None:
    """Have the new name on the disk too, where folders can be opened for that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
