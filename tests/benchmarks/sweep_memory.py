"""By how much a process grows while it sweeps: run in one of its own (`run_alone`)."""

from __future__ import annotations

import json
import sys

from gpt2_small import gpt2_small, pairs
from machine import grown_by

from patchwidget import Head, PatchStudy
from patchwidget.exact.budget import most_patches, rows_at_once


def main(mib):
    model, n_layers = gpt2_small(n_layers=3), 3
    study = PatchStudy(model, *pairs(), budget=mib * 2**20)
    study.exact([Head(n_layers - 1, 0)])  # what a first sweep loads
    swap = study._runner._swap
    at_once = min(most_patches(swap), rows_at_once(swap) // swap.tokens.numel())
    grown = grown_by(lambda: study.exact("z"))
    print(json.dumps({"grown": grown, "patches": at_once}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
