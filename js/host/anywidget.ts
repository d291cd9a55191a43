/** The live host: the only file that touches anywidget's `model`. */

import type { AnyModel } from "@anywidget/types";
import type { Host } from "./host";
import { onAbort } from "./life";

export function anywidgetHost(model: AnyModel): Host {
  return {
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
