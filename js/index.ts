/**
 * The widget's entry: what anywidget calls.
 *
 * A factory, because hosts differ in how often they evaluate this module: Jupyter once
 * per model, marimo once for all. State belongs to the closure of one model.
 */

import type { Initialize, Render } from "@anywidget/types";
import { type AnywidgetHost, anywidgetHost } from "./host/anywidget";
import type { Host } from "./host/host";
import { childLife } from "./host/life";
import { createStore, type Store } from "./state/store";
import { mountWidget } from "./views/widget";

export default (): { initialize: Initialize; render: Render } => {
  let host: AnywidgetHost | null = null;
  let store: Store | null = null;
  return {
    // Must not wait for anything: messages are held back until it is done.
    initialize({ model, signal }) {
      // Hosts before anywidget 0.11 pass no signal, and only call what is returned.
      const life = childLife(signal);
      host = anywidgetHost(model);
      store = createStore(host, life.signal);
      return () => life.abort();
    },
    render({ el, signal }) {
      if (!host || !store)
        throw new Error("patchwidget: render was called before initialize");
      const life = childLife(signal);
      host.watch(el, life.signal);
      mountWidget(store, el, life.signal);
      return () => life.abort();
    },
  };
};

/** The whole widget on another host: what a saved page calls. */
export function mount(host: Host, parent: HTMLElement, signal: AbortSignal): void {
  mountWidget(createStore(host, signal), parent, signal);
}
