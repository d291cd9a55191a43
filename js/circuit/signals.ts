/** Stands in for the signals library within this bundle: see js/build.mjs. */

import type { Kit } from "./kit";

let given: Kit["signals"] | null = null;

export function useSignals(signals: Kit["signals"]): void {
  given = signals;
}

function library(): Kit["signals"] {
  if (!given) throw new Error("patchwidget: signals are used before they are given");
  return given;
}

// Each passes on what it gets, whatever that is.
export const computed: Kit["signals"]["computed"] = (...all) =>
  library().computed(...all);
export const effect: Kit["signals"]["effect"] = (...all) => library().effect(...all);
export const signal = ((...all: [unknown]) =>
  library().signal(...all)) as Kit["signals"]["signal"];
export const untracked: Kit["signals"]["untracked"] = (...all) =>
  library().untracked(...all);
