"""Is a finding general: on other pairs, and on ordinary text?"""

from patchwidget.generality.asking import Generalising
from patchwidget.generality.comparison import Generality
from patchwidget.generality.pick import HALF, TENTH, VERDICTS, Pick

__all__ = [
    "HALF",
    "TENTH",
    "VERDICTS",
    "Generalising",
    "Generality",
    "Pick",
]
