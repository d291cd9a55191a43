import type { AnyModel, Experimental, Host } from "@anywidget/types";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import makeWidget from "../../js/index";
import { TRAITS } from "./page/data";
import { standInBrowser } from "./support";

type Handler = () => void;

/** Counts what is attached to it. */
function fakeModel() {
  const handlers = new Set<Handler>();
  const model = {
    get: (key: keyof typeof TRAITS) => TRAITS[key],
    set() {},
    save_changes() {},
    send() {},
    on: (_: string, handler: Handler) => handlers.add(handler),
    off: (_: string, handler: Handler) => handlers.delete(handler),
  };
  // The members above are all that the widget may use.
  return { model: model as unknown as AnyModel, handlers };
}

/** What hosts pass besides, which the widget must not need. */
const UNUSED = {} as { experimental: Experimental; host: Host };

beforeEach(() => {
  standInBrowser();
});

afterEach(() => {
  vi.unstubAllGlobals();
});

function start(signal?: AbortSignal) {
  const widget = makeWidget();
  const { model, handlers } = fakeModel();
  // Hosts before anywidget 0.11 pass no signal, whatever the types say.
  const props = { ...UNUSED, model, signal: signal as AbortSignal };
  const ended = widget.initialize(props);
  return { widget, props, handlers, ended };
}

test("initialize is done at once, and its signal ends everything", () => {
  const life = new AbortController();
  const { handlers, ended } = start(life.signal);
  expect(ended).toBeTypeOf("function");
  expect(handlers.size).toBeGreaterThan(0);
  life.abort();
  expect(handlers.size).toBe(0);
});

test("without signals, what was returned ends the same", () => {
  const { widget, props, handlers, ended } = start();
  const el = document.createElement("div");
  const endView = widget.render({ ...props, el });
  expect(el.querySelector(".pw-root")).not.toBeNull();
  if (typeof endView !== "function" || typeof ended !== "function") {
    throw new Error("no way to end");
  }
  endView();
  expect(el.childElementCount).toBe(0);
  ended();
  expect(handlers.size).toBe(0);
});

test("models share nothing", () => {
  const [first, second] = [start(), start()];
  expect(first.widget).not.toBe(second.widget);
  expect(first.handlers.size).toBe(second.handlers.size);
});
