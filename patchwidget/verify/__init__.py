"""Verification: which estimates to believe, and what is still unknown."""

from patchwidget.verify.agreement import Agreement, Check, Figures, figures
from patchwidget.verify.asking import Verifying, loop_of, stepwise
from patchwidget.verify.bound import Bound, TooFewRunsError, upper_bounds
from patchwidget.verify.diagnosis import Cause, Diagnosis, diagnosing
from patchwidget.verify.loop import Loop, VerifyProgress
from patchwidget.verify.plan import Plan
from patchwidget.verify.recall_cost import cost_of_verified_recall, irwrgm
from patchwidget.verify.self_repair import SelfRepair, self_repair
from patchwidget.verify.settling import Settling, settling
from patchwidget.verify.student import upper_quantile, upper_tail
from patchwidget.verify.verification import Verification

__all__ = [
    "Agreement",
    "Bound",
    "Cause",
    "Check",
    "Diagnosis",
    "Figures",
    "Loop",
    "Plan",
    "SelfRepair",
    "Settling",
    "TooFewRunsError",
    "Verification",
    "VerifyProgress",
    "Verifying",
    "cost_of_verified_recall",
    "diagnosing",
    "figures",
    "irwrgm",
    "loop_of",
    "self_repair",
    "settling",
    "stepwise",
    "upper_bounds",
    "upper_quantile",
    "upper_tail",
]
