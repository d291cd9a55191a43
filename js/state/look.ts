/** How one output looks at attention: which head, which quantity, which token. */

import { type Signal, signal } from "@preact/signals-core";
import { type HeadRef, headName } from "./attention";
import type { Direction, Run } from "./pattern";
import { attentionPlace, headPlace, type Place } from "./place";
import { type Viewport, wholeMatrix } from "./viewport";

export const ASPECTS = ["clean", "corrupted", "difference", "all"] as const;
/** `all`: the three beside one another. */
export type Aspect = (typeof ASPECTS)[number];

export interface Look {
  /** Name of the head that is drawn large; another is, where it is not picked. */
  readonly chosen: Signal<string>;
  readonly aspect: Signal<Aspect>;
  readonly weighted: Signal<boolean>;
  /** Whether colours are scaled to the head drawn large, or to all that are drawn. */
  readonly ownScale: Signal<boolean>;
  readonly direction: Signal<Direction>;
  /** The token whose attention stays in view; null for the one under the pointer. */
  readonly locked: Signal<number | null>;
  /** The part of the large pattern that is looked at. */
  readonly viewport: Signal<Viewport>;
}

export function createLook(): Look {
  return {
    chosen: signal(""),
    aspect: signal<Aspect>("all"),
    weighted: signal(false),
    ownScale: signal(false),
    direction: signal<Direction>("to"),
    locked: signal<number | null>(null),
    viewport: signal(wholeMatrix(1)),
  };
}

/** What is drawn large. */
export function shownRuns(aspect: Aspect): readonly Run[] {
  return aspect === "all" ? ["clean", "corrupted", "difference"] : [aspect];
}

/** What a thumbnail shows, which has room for one pattern. */
export function thumbnailRun(aspect: Aspect): Run {
  return aspect === "all" ? "difference" : aspect;
}

/** What the tokens show; runs have lines of their own, a difference has one. */
export function tokenRuns(aspect: Aspect): readonly Run[] {
  return aspect === "all" ? ["clean", "corrupted"] : [aspect];
}

/**
 * The head drawn large after the picks have changed: one that was just added, as it is
 * what one wants to see; else the same as before, else the first.
 */
export function nextChosen(
  chosen: string,
  before: readonly HeadRef[],
  now: readonly HeadRef[],
): string {
  const old = before.map(headName);
  const names = now.map(headName);
  const added = names.filter((name) => !old.includes(name));
  const isThere = names.includes(chosen);
  if (added.length === 1 || !isThere) return added[0] ?? names[0] ?? "";
  return chosen;
}

/** The token whose attention is shown: the locked one, else the one that is hovered. */
export function focusedToken(
  locked: number | null,
  place: Place | null,
  direction: Direction,
): number | null {
  if (locked !== null || !place) return locked;
  return direction === "to" ? place.pos : (place.src ?? place.pos);
}

/** Where the pointer is when it is at a token: at a pair of them, if one is locked. */
export function tokenPlace(
  { layer, head }: HeadRef,
  token: number,
  locked: number | null,
  direction: Direction,
): Place {
  if (locked !== null) {
    const [pos, src] = direction === "to" ? [locked, token] : [token, locked];
    return attentionPlace(layer, head, pos, src);
  }
  const at = direction === "to" ? { pos: token } : { src: token };
  return { ...headPlace(layer, head), ...at };
}

/** The positions with the largest magnitudes, none of zero. */
export function strongest(values: Float32Array, count: number): number[] {
  const size = (at: number) => Math.abs(values[at] ?? 0);
  return [...values.keys()]
    .filter((at) => size(at) > 0)
    .sort((a, b) => size(b) - size(a))
    .slice(0, count);
}
