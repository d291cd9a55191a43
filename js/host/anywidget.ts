/** The live host: the only file that touches anywidget's `model`. */

import type { AnyModel } from "@anywidget/types";
import type { Host } from "./host";
import { addFor, onAbort } from "./life";

/**
 * ipywidgets sets whether a model's kernel is alive when it makes the model, and from
 * then on only to say that it is not: when the kernel is restarted.
 */
const NO_LONGER_ALIVE = "comm_live_update";
/** So ipywidgets 8 marks its views, also of what a saved notebook shows without a kernel. */
const DISCONNECTED = "jupyter-widgets-disconnected";

export interface AnywidgetHost extends Host {
  /** Watches an element that shows the model for the mark that no kernel knows it. */
  watch(shown: HTMLElement, signal: AbortSignal): void;
}

export function anywidgetHost(model: AnyModel): AnywidgetHost {
  const mourners = new Set<() => void>();
  return {
    watch(shown, signal) {
      const look = () => {
        if (!shown.classList.contains(DISCONNECTED)) return;
        for (const callback of [...mourners]) callback();
      };
      const observer = new MutationObserver(look);
      observer.observe(shown, { attributeFilter: ["class"] });
      onAbort(signal, () => observer.disconnect());
      look();
    },
    get: (trait) => model.get(trait),
    set(trait, value) {
      model.set(trait, value);
      model.save_changes();
    },
    // Backbone passes (model, value), marimo passes (value): neither is looked at.
    onChange: (trait, callback, signal) =>
      listen(model, `change:${trait}`, () => callback(), signal),
    send: (content) => model.send(content),
    onMessage: (listener, signal) =>
      listen(
        model,
        "msg:custom",
        (content, buffers) => listener(content, buffers ?? []),
        signal,
      ),
    onLost(callback, signal) {
      addFor(mourners, callback, signal);
      listen(model, NO_LONGER_ALIVE, () => callback(), signal);
    },
  };
}

function listen(
  model: AnyModel,
  event: string,
  handler: (content: unknown, buffers?: readonly unknown[]) => void,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  model.on(event, handler);
  // Without the callback, marimo's `off` would remove everybody's listeners.
  onAbort(signal, () => model.off(event, handler));
}
