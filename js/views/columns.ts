/** Heads and cells that all tables have, and what can be unfolded below. */

import { el } from "../draw/dom";

export function columnHead(text: string, title = ""): HTMLTableCellElement {
  return el("th", { scope: "col", class: "pw-column", title: title || false }, text);
}

export function rowHead(...children: (Node | string)[]): HTMLTableCellElement {
  return el("th", { scope: "row", class: "pw-pick-name" }, ...children);
}

export function valueCell(name = "", ...children: (Node | string)[]) {
  return el("td", `pw-value ${name}`, ...children);
}

export function plainTable(head: HTMLElement, body: HTMLElement): HTMLTableElement {
  return el("table", "pw-table", el("thead", {}, head), body);
}

export function evidence(title: string, ...more: (Node | string)[]): HTMLElement {
  return el("details", "pw-evidence", el("summary", {}, title), ...more);
}
