/** Sentences that several views use. */

import { signed } from "../draw/number";
import type { Kind } from "../state/node";
import type { Direction, Study } from "../state/study";

export const KIND_TITLES: Record<Kind, string> = {
  resid_pre: "Residual stream",
  resid_mid: "Residual, mid-block",
  resid_post: "Residual, after block",
  attn_out: "Attention output",
  mlp_out: "MLP output",
  z: "Head output",
  q: "Query",
  k: "Key",
  v: "Value",
  pattern: "Pattern",
};

export const DIRECTION_WORDS: Record<Direction, string> = {
  denoising: "clean values put into the corrupted run",
  noising: "corrupted values put into the clean run",
};

export function directionWords({ direction }: Study): string {
  return `${direction}: ${DIRECTION_WORDS[direction]}`;
}

/** What the numbers of an effect mean. */
export function effectWords({ scale, direction, metric }: Study): string {
  if (scale === null) return `change of ${metric.name}, not normalised`;
  return direction === "denoising"
    ? "0 = as corrupted, 1 = as clean"
    : "0 = as clean, 1 = as corrupted";
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function rangeWords(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${signed(low)} to ${signed(high)}`;
}

/** A value that may be missing. */
export function valueWords(value: number): string {
  return Number.isNaN(value) ? "no value" : signed(value);
}

/** The label of a method of estimating; its name where the study does not know it. */
export function methodLabel(study: Study | null, name: string): string {
  return study?.methods.find((method) => method.name === name)?.label ?? name;
}

/** "1 pair", "8 pairs". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** "3 s", "2 min", "1.5 h": as exact as a guess at remaining time can be. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = seconds / 60;
  return minutes < 90 ? `${Math.round(minutes)} min` : `${(minutes / 60).toFixed(1)} h`;
}
