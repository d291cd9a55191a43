"""What can be wrong with a saved study."""

from __future__ import annotations


class SavedFileError(ValueError):
    """A file that is not a saved study, is damaged, or is of another version.

    The message names the file, the reason and what to do.
    """


class NeedsModelError(RuntimeError):
    """A study that was loaded without its model is asked for what was not saved."""
