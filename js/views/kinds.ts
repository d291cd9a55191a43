/** How kinds are told apart: their marks, and the select that puts one in focus. */

import { react } from "../draw/dom";
import type { Mark } from "../draw/marks";
import { KINDS, type Kind } from "../state/node";
import { select, setOptions } from "./choice";
import type { View } from "./view";
import { KIND_TITLES } from "./words";

const STREAM: Mark = { shape: "circle", light: "#57606a", dark: "#b4bcc6" };

/** One a family; all of them at least 3:1 against their page. */
export const KIND_MARKS: Record<Kind, Mark> = {
  resid_pre: STREAM,
  resid_mid: STREAM,
  resid_post: STREAM,
  attn_out: { shape: "square", light: "#0a6cb0", dark: "#5cb3f0" },
  mlp_out: { shape: "diamond", light: "#9a5b00", dark: "#e0a050" },
  z: { shape: "up", light: "#00795c", dark: "#3fcf9f" },
  q: { shape: "plus", light: "#c2185b", dark: "#ff7aa8" },
  k: { shape: "cross", light: "#7344bd", dark: "#b79cff" },
  v: { shape: "down", light: "#7d6a00", dark: "#d9c04a" },
  pattern: { shape: "star", light: "#cc4417", dark: "#ff8a5c" },
};

/** Sets the kind that scatter and ranking are about; both have one. */
export function kindSelect({ store, signal }: View): HTMLElement {
  const focus = (name: string) =>
    store.set("kind", KINDS.find((kind) => kind === name) ?? "");
  const choice = select("Kind in focus", focus, signal);
  choice.classList.add("pw-kind");
  react(signal, () => {
    const now = store.kind.value;
    const shown = KINDS.filter((kind) => store.grids.value.has(kind) || kind === now);
    const kinds = shown.map(
      (kind) => [kind, `${KIND_TITLES[kind]} (${kind})`] as const,
    );
    setOptions(choice, [["", "all shown kinds"], ...kinds], now);
  });
  return choice;
}
