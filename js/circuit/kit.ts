/** What the widget hands to the module of paths and circuits, and what it gets. */

import type { computed, effect, signal, untracked } from "@preact/signals-core";
import type * as dom from "../draw/dom";
import type * as number from "../draw/number";
import type { pictureOf } from "../draw/picture";
import type { handOver } from "../host/clipboard";
import type { createAsked } from "../state/asked";
import type { positionName } from "../state/tokens";
import type { View } from "../views/view";

export interface Kit {
  /** The widget's own: others would not hear of one another's changes. */
  signals: {
    computed: typeof computed;
    effect: typeof effect;
    signal: typeof signal;
    untracked: typeof untracked;
  };
  /** So that it need not come twice. */
  shared: typeof dom &
    typeof number & {
      createAsked: typeof createAsked;
      positionName: typeof positionName;
    };
  /** A part of the page as SVG. */
  pictureOf: typeof pictureOf;
  handOver: typeof handOver;
}

export interface CircuitModule {
  /** Draws into `parent` while the view lives. */
  mount(kit: Kit, view: View, parent: HTMLElement): void;
}
