/**
 * What is looked at, and how: traits that the page writes, and Python may too. Two
 * outputs of one widget agree on them.
 */

import type { ReadonlySignal, Signal } from "@preact/signals-core";
import type { Host, ViewTrait } from "../host/host";
import type { Mirrors } from "./mirror";
import { KINDS, type Kind } from "./node";
import { sameSelection } from "./selection";
import { flag, list, oneOf, record, text, whole } from "./shape";
import { DIRECTIONS, type Direction } from "./study";

/**
 * `known`: exact effects where they are known, estimates elsewhere. `mine`: somebody's own
 * values; `mine_miss`: how far they are from what is known.
 */
export const SHOWN = [
  "estimate",
  "exact",
  "known",
  "miss",
  "mine",
  "mine_miss",
] as const;
export type Shown = (typeof SHOWN)[number];

/** The parts of the page that can be folded away. */
const SECTIONS = [
  "prompt",
  "grids",
  "row",
  "neurons",
  "scatter",
  "ranking",
  "picks",
  "attention",
  "circuit",
] as const;
/** Those that are closed until somebody opens them: opening one asks the kernel. */
export const CLOSED: readonly Section[] = ["row", "neurons", "circuit"];
export type Section = (typeof SECTIONS)[number];

export interface Settings {
  /** Names of the picked nodes, in order of picking. */
  selection: readonly string[];
  shown: Shown;
  /** Index of a pair; -1 for the mean. */
  pair: number;
  method: string;
  direction: Direction;
  /** The kind that scatter and ranking are about; empty for all kinds. */
  kind: Kind | "";
  /** The user's names of heads, by `L9H9`. */
  names: Readonly<Record<string, string>>;
  /** Sections that are folded away. */
  folds: readonly string[];
  /** Whether the widget takes all the width it can have. */
  wide: boolean;
}

export type SettingSignals = {
  readonly [T in ViewTrait]: ReadonlySignal<Settings[T]>;
};

type Writable = { readonly [T in ViewTrait]: Signal<Settings[T]> };

/** Writes nothing when nothing changes: a pick fires work in the kernel. */
export type SetSetting = <T extends ViewTrait>(trait: T, value: Settings[T]) => void;

type Specs = {
  [T in ViewTrait]: {
    read: (value: unknown) => Settings[T];
    fallback: Settings[T];
    same?: (a: Settings[T], b: Settings[T]) => boolean;
  };
};

const SPECS: Specs = {
  selection: {
    read: (value) => list(text)(value ?? [], "selection"),
    fallback: [],
    same: sameSelection,
  },
  shown: {
    read: (value) => oneOf(...SHOWN)(value ?? "estimate", "shown"),
    fallback: "estimate",
  },
  pair: { read: (value) => whole(value ?? -1, "pair"), fallback: -1 },
  method: { read: (value) => text(value ?? "atp", "method"), fallback: "atp" },
  direction: {
    read: (value) => oneOf(...DIRECTIONS)(value ?? "denoising", "direction"),
    fallback: "denoising",
  },
  kind: { read: (value) => oneOf("", ...KINDS)(value ?? "", "kind"), fallback: "" },
  names: { read: readNames, fallback: {}, same: sameNames },
  folds: {
    read: (value) => list(text)(value ?? CLOSED, "folds"),
    fallback: CLOSED,
    same: sameSelection,
  },
  wide: { read: (value) => flag(value ?? false, "wide"), fallback: false },
};

export function createSettings(
  host: Host,
  { follow }: Mirrors,
): { signals: SettingSignals; set: SetSetting } {
  const mirror = <T extends ViewTrait>(trait: T): Signal<Settings[T]> => {
    const { read, fallback, same }: Specs[T] = SPECS[trait];
    return follow(trait, read, fallback, same);
  };
  const traits = Object.keys(SPECS) as ViewTrait[]; // the keys of a literal
  const signals = Object.fromEntries(
    traits.map((trait) => [trait, mirror(trait)]),
  ) as Writable; // one each
  return {
    signals,
    set(trait, value) {
      const current = signals[trait];
      const { same = Object.is } = SPECS[trait];
      if (same(current.peek(), value)) return;
      // A copy: the caller's own list may change later.
      const own = structuredClone(value);
      current.value = own;
      host.set(trait, own);
    },
  };
}

function readNames(value: unknown): Record<string, string> {
  const entries = Object.entries(record(value ?? {}, "names"));
  return Object.fromEntries(entries.map(([head, name]) => [head, text(name, "names")]));
}

/** In the same order, too: whoever writes them again adds at the end. */
function sameNames(a: Settings["names"], b: Settings["names"]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
