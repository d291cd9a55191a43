"""Studies on disk: one file, checked when it is read, replaced as a whole."""

from patchwidget.saving.asking import Saving
from patchwidget.saving.errors import NeedsModelError, SavedFileError
from patchwidget.saving.saved import SavedStudy

__all__ = ["NeedsModelError", "SavedFileError", "SavedStudy", "Saving"]
