/** What only one output on the page knows. It ends with the output. */

import { type Signal, signal } from "@preact/signals-core";
import type { Place } from "./place";

export interface Ui {
  /** Where the pointer or the keyboard's cursor is; never told to the kernel. */
  readonly hover: Signal<Place | null>;
  /** The width that views can fill, in CSS pixels; 0 while nothing is laid out. */
  readonly width: Signal<number>;
  /** Device pixels per CSS pixel while a figure is taken; null for the screen's own. */
  readonly density: Signal<number | null>;
  /** What a figure is taken from. */
  readonly root: Signal<HTMLElement | null>;
}

export function createUi(): Ui {
  return {
    hover: signal<Place | null>(null),
    width: signal(0),
    density: signal<number | null>(null),
    root: signal<HTMLElement | null>(null),
  };
}
