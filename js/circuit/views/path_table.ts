/** What is verified of the circuit, in words. */

import type { ReadonlySignal } from "@preact/signals-core";
import { el, keyed, live, react } from "../../draw/dom";
import { counted } from "../../views/words";
import type { PathResult } from "../record";
import { nameButton } from "./names";
import { linkPath, pathWords } from "./paths";
import type { CircuitView } from "./view";

/** The same as rows, to be read through. */
export function pathTable(
  view: CircuitView,
  paths: ReadonlySignal<ReadonlyMap<string, PathResult>>,
): HTMLElement {
  const { signal } = view;
  const body = el("ul", "pw-verified-paths");
  const show = keyed(
    body,
    (path: string, life) => row({ ...view, signal: life }, path, paths),
    signal,
  );
  react(signal, () => {
    const size = ([, { exact }]: [string, PathResult]) => Math.abs(exact) || 0;
    const sorted = [...paths.value].sort((a, b) => size(b) - size(a));
    show(sorted.map(([path]) => path));
  });
  const summary = live(
    signal,
    () => `${counted(paths.value.size, "verified path")} in words`,
    el("summary"),
  );
  return el("details", "pw-evidence", summary, body);
}

function row(
  view: CircuitView,
  path: string,
  paths: ReadonlySignal<ReadonlyMap<string, PathResult>>,
): HTMLElement {
  const { over, signal } = view;
  const { writer = "", reader = "" } = paths.peek().get(path) ?? {};
  const words = live(signal, () => {
    const result = paths.value.get(path);
    return result ? pathWords(result.estimate, result) : "";
  });
  const item = el(
    "li",
    { "data-path": path },
    nameButton(view, writer),
    " → ",
    nameButton(view, reader),
    " ",
    words,
  );
  linkPath(view, item, path, writer);
  react(signal, () => {
    item.classList.toggle("pw-lit", over.value === path);
  });
  return item;
}
