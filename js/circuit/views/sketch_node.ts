/** A node of the sketch: a head, an MLP, the embedding, the logits. */

import { isPlain, listen, react, setAttributes, svgEl } from "../../draw/dom";
import { signed } from "../../draw/number";
import { onAbort } from "../../host/life";
import { headLabel } from "../../state/names";
import { type End, endPlace, isAt } from "../ends";
import { NODE_HEIGHT, type SketchEdge, type SketchNode } from "../sketch";
import { actOf, goTo } from "./names";
import { stopAt, type TabStop } from "./sketch_keys";
import type { CircuitView } from "./view";

/** A click picks the head, or looks at the paths of an MLP; so does Enter. */
export function nodeBox(
  view: CircuitView,
  node: SketchNode,
  edges: readonly SketchEdge[],
  stop: TabStop,
): SVGElement {
  const { store, signal } = view;
  const { key, end, label } = node;
  const isHead = end.layer !== null && end.head !== null && !label.includes("KV");
  const own = isHead ? `L${end.layer}H${end.head}` : label.replace(" MLP", ".mlp");
  const title = svgEl("title");
  const role = actOf(own) ? "button" : "img";
  const named = { class: "pw-sketch-node", "data-key": key, role };
  const group = svgEl("g", named, title, ...shapesOf(node));
  react(signal, () => {
    const { layer, head, pos } = end;
    const name = isHead ? headLabel(store.names.value, layer ?? 0, head ?? 0) : label;
    const place = pos === null ? "" : `@${pos}`;
    title.textContent = nodeWords(name + place, key, edges);
    setAttributes(group, { "aria-label": title.textContent });
  });
  linkEnd(view, group, end);
  listenToPress(view, group, () => goTo(view, own));
  stopAt(view, group, key, stop);
  return group;
}

function shapesOf({ label, x, y, width }: SketchNode): SVGElement[] {
  const box = svgEl("rect", {
    x: x - width / 2,
    y: y - NODE_HEIGHT / 2,
    width,
    height: NODE_HEIGHT,
    rx: 4,
  });
  const middle = { x, y, dy: "0.35em", "text-anchor": "middle" };
  return [box, svgEl("text", middle, label)];
}

/** What it is read by. Not in its group, whose name they are no part of. */
export function portLetters({ y, ports }: SketchNode): SVGElement[] {
  const common = { class: "pw-port", "text-anchor": "middle", "aria-hidden": "true" };
  return [...ports].map(([port, x]) =>
    svgEl("text", { ...common, x, y: y + NODE_HEIGHT / 2 + 9 }, port),
  );
}

/** Under the pointer, or with the focus, it is lit in all views. */
function linkEnd({ store, ui, signal }: CircuitView, group: Element, end: End): void {
  let isHere = false;
  const show = (isOver: boolean) => () => {
    const study = store.study.peek();
    isHere = isOver;
    ui.hover.value = isOver && study ? endPlace(end, study) : null;
  };
  const [enter, leave] = [show(true), show(false)];
  listen(group, { pointerenter: enter, pointerleave: leave }, signal);
  listen(group, { focus: enter, blur: leave }, signal);
  onAbort(signal, () => {
    if (isHere) leave(); // what is taken away is not told that it was left
  });
  react(signal, () => {
    const study = store.study.value;
    const isLit = study !== null && isAt(end, ui.hover.value, study);
    group.classList.toggle("pw-lit", isLit);
  });
}

function listenToPress(
  { signal }: CircuitView,
  group: Element,
  click: () => void,
): void {
  const onKey = (event: KeyboardEvent) => {
    if (!isPlain(event) || !["Enter", " "].includes(event.key)) return;
    event.preventDefault(); // or the page would scroll
    click();
  };
  listen(group, { click, keydown: onKey }, signal);
}

/** So many paths of a node are named on each side. */
const NAMED = 4;

/** A node and the paths that are known of it, the largest first. */
function nodeWords(name: string, key: string, edges: readonly SketchEdge[]): string {
  const into = sideWords(edges.filter(({ reader }) => reader === key));
  const out = sideWords(edges.filter(({ writer }) => writer === key));
  const sides = [into && `into it ${into}`, out && `out of it ${out}`];
  return `${name}: ${sides.filter(Boolean).join("; ")}`;
}

function sideWords(edges: readonly SketchEdge[]): string {
  // Each path once, the largest first.
  const values = new Map(edges.map(({ path, result }) => [path, result.exact]));
  const all = [...values].reverse();
  const words = all.slice(0, NAMED).map(([path, exact]) => `${path} ${signed(exact)}`);
  if (all.length > NAMED) words.push(`${all.length - NAMED} more`);
  return words.join(", ");
}
