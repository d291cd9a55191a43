"""Is a finding general: on other pairs, and on ordinary text?"""

from patchwidget.generality.asking import Generalising
from patchwidget.generality.comparison import Generality
from patchwidget.generality.example import Example
from patchwidget.generality.habits import Habits
from patchwidget.generality.pick import HALF, TENTH, VERDICTS, Pick
from patchwidget.generality.targets import HABITS

__all__ = [
    "HABITS",
    "HALF",
    "TENTH",
    "VERDICTS",
    "Example",
    "Generalising",
    "Generality",
    "Habits",
    "Pick",
]
