/** What only one output on the page knows. It ends with the output. */

import { type Signal, signal } from "@preact/signals-core";
import type { Place } from "./place";

export interface Ui {
  /** Where the pointer or the keyboard's cursor is; never told to the kernel. */
  readonly hover: Signal<Place | null>;
  /** The width that views can fill, in CSS pixels; 0 while nothing is laid out. */
  readonly width: Signal<number>;
}

export function createUi(): Ui {
  return { hover: signal<Place | null>(null), width: signal(0) };
}
