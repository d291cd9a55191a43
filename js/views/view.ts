/** What every view is given. A view returns its element and keeps it up to date. */

import type { ReadonlySignal } from "@preact/signals-core";
import type { Theme } from "../draw/theme";
import type { Store } from "../state/store";
import type { Ui } from "../state/ui";

/** Narrower, two parts of the page stand under one another. */
export const ROOM_FOR_TWO = 1000;

export interface View {
  store: Store;
  ui: Ui;
  theme: ReadonlySignal<Theme>;
  /** Aborts when the output goes. */
  signal: AbortSignal;
}

export type MakeView = (view: View) => HTMLElement;
