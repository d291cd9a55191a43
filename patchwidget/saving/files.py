"""Contents of studies in files."""

from __future__ import annotations

import os

from patchwidget.saving.atomic import write
from patchwidget.saving.container import pack, unpack
from patchwidget.saving.contents import Contents
from patchwidget.saving.decode import decode
from patchwidget.saving.encode import encode
from patchwidget.saving.errors import SavedFileError


def write_contents(path: str | os.PathLike[str], contents: Contents) -> None:
    """Write a file as a whole, or not at all.

    Raises:
        OSError: if it cannot be written; an old file is left as it was.
        ValueError: if there are too many texts.
    """
    write(path, [pack(*encode(contents))])


def read_contents(path: str | os.PathLike[str]) -> Contents:
    """Read a file.

    Raises:
        SavedFileError: if it is no saved study, damaged, or of another format.
        OSError: if it cannot be read.
    """
    record, tensors = unpack(path)
    try:
        return decode(record, tensors)
    except (ValueError, IndexError) as error:
        raise SavedFileError(
            f"{os.fspath(path)} holds what no study can be ({error}): save the study once "
            "more with PatchStudy.save"
        ) from error
