/** What only one output on the page knows. It ends with the output. */

import { type Signal, signal } from "@preact/signals-core";
import type { HeadRef } from "./attention";
import type { Node } from "./node";
import type { Place } from "./place";

/** A head whose name is being written, and where on the screen that was asked for. */
export interface Naming {
  head: HeadRef;
  left: number;
  top: number;
  /** What had the focus before, and gets it back. */
  from: HTMLElement;
}

export interface Ui {
  /** Where the pointer or the keyboard's cursor is; never told to the kernel. */
  readonly hover: Signal<Place | null>;
  /** The width that views can fill, in CSS pixels; 0 while nothing is laid out. */
  readonly width: Signal<number>;
  /** Device pixels per CSS pixel while a figure is taken; null for the screen's own. */
  readonly density: Signal<number | null>;
  /** What a figure is taken from. */
  readonly root: Signal<HTMLElement | null>;
  readonly naming: Signal<Naming | null>;
  /** A head whose row by position was asked for without a pick. */
  readonly asked: Signal<Node | null>;
  /** Whether long prompts are squeezed into the width instead of scrolling. */
  readonly fit: Signal<boolean>;
  /** How far the plots by position are scrolled, all alike. */
  readonly scroll: Signal<number>;
  /** Why the last pick was not made; empty if it was. */
  readonly refusal: Signal<string>;
}

export function createUi(): Ui {
  return {
    hover: signal<Place | null>(null),
    width: signal(0),
    density: signal<number | null>(null),
    root: signal<HTMLElement | null>(null),
    naming: signal<Naming | null>(null),
    asked: signal<Node | null>(null),
    fit: signal(false),
    scroll: signal(0),
    refusal: signal(""),
  };
}
