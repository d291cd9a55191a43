/** What later heads do about the picked nodes: backup heads, negative heads. */

import { computed, signal as makeSignal, type Signal } from "@preact/signals-core";
import { el, listen, live, react, svgEl } from "../../draw/dom";
import { signed, tick } from "../../draw/number";
import { headPlace } from "../../state/place";
import { largest, paintOf } from "../cells";
import type { Repair, Response } from "../record";
import { nameButton } from "./names";
import { about, picksCosted } from "./of_picks";
import { rebuilt } from "./rebuilt";
import type { CircuitView } from "./view";

const CELL = { width: 22, height: 18, left: 54 };

type At = Signal<readonly [layer: number, head: number] | null>;

export function repairView(view: CircuitView): HTMLElement {
  const { circuit, signal } = view;
  const at: At = makeSignal<readonly [number, number] | null>(null);
  const hint = el("div", "pw-quiet");
  live(signal, () => hintOf(view), hint);
  const strip = el("div", "pw-repair-strip");
  const words = el("div", { class: "pw-circuit-words", "aria-live": "polite" });
  const named = el("ul", "pw-responses");
  live(signal, () => readingAt(circuit.value.repair, at.value), words);
  const found = computed(() => circuit.value.repair);
  rebuilt(view, strip, (own) => {
    at.value = null;
    return found.value ? [drawn(own, found.value, at)] : [];
  });
  rebuilt(
    view,
    named,
    (own) => found.value?.against.map((one) => response(own, one)) ?? [],
  );
  react(signal, () => {
    strip.hidden = words.hidden = named.hidden = found.value === null;
  });
  return el(
    "section",
    { class: "pw-repair", "aria-label": "Self-repair" },
    el("div", "pw-circuit-title", "Self-repair"),
    hint,
    picksCosted(view, "repair", "look for self-repair after a patch"),
    strip,
    words,
    named,
  );
}

const EMPTY =
  "What later heads do when the picks are patched together: a backup head writes more, a " +
  "negative head writes less against it.";

function hintOf(view: CircuitView): string {
  const found = view.circuit.value.repair;
  if (!found) return view.store.isSaved ? `${EMPTY} It was not computed.` : EMPTY;
  const most = tick(Number(largest(found.change).toPrecision(2)));
  return (
    `${about(view, found.nodes)}Change of each later head's direct effect, ` +
    `from −${most} (red) to +${most} (blue). ${found.words}`
  );
}

/** Layers up, as in the sketch. */
function drawn(view: CircuitView, found: Repair, at: At): SVGSVGElement {
  const { theme, ui, signal } = view;
  const [layers = 0, heads = 0] = found.shape;
  const first = found.change.findIndex((row) =>
    row.some((value) => !Number.isNaN(value)),
  );
  const shown = Array.from({ length: first < 0 ? 0 : layers - first }, (_, at) => {
    return layers - 1 - at;
  });
  const scale = largest(found.change);
  const roles = new Map(found.against.map(({ head, role }) => [headOf(head), role]));
  const svg = svgEl("svg", {
    width: CELL.left + heads * CELL.width + 2,
    height: (shown.length + 1) * CELL.height + 2,
    role: "img",
    "aria-label": `Change of each later head's direct effect. ${found.words}`,
  });
  const { diverging } = theme.value.palette;
  const rows = shown.flatMap((layer, row) => {
    const y = row * CELL.height + 1;
    const label = text(CELL.left - 6, y, `layer ${layer}`, "end");
    const cells = (found.change[layer] ?? []).flatMap((value, head) => {
      const paint = paintOf(value, scale, diverging);
      const place = { layer, head, x: CELL.left + head * CELL.width, y };
      return cell(place, paint, roles.get(`L${layer}H${head}`));
    });
    return [label, ...cells];
  });
  const numbers = Array.from({ length: heads }, (_, head) => {
    const x = CELL.left + (head + 0.5) * CELL.width;
    return text(x, shown.length * CELL.height + 1, `${head}`, "middle");
  });
  svg.append(...rows, ...numbers);
  const enter = ({ target }: Event) => {
    const found = target instanceof Element ? target.closest("[data-layer]") : null;
    const { layer, head } = (found as SVGElement | null)?.dataset ?? {};
    const place = layer === undefined ? null : ([Number(layer), Number(head)] as const);
    at.value = place;
    ui.hover.value = place && headPlace(...place);
  };
  const leave = () => {
    at.value = null;
    ui.hover.value = null;
  };
  listen(svg, { pointerover: enter, pointerleave: leave }, signal);
  return svg;
}

function cell(
  { layer, head, x, y }: { layer: number; head: number; x: number; y: number },
  paint: ReturnType<typeof paintOf>,
  role: string | undefined,
): SVGElement[] {
  if (!paint) return [];
  const box = svgEl("rect", {
    x: x + 0.5,
    y: y + 0.5,
    width: CELL.width - 1,
    height: CELL.height - 1,
    fill: paint.fill,
  });
  const mark = role ? text(x + CELL.width / 2, y, markOf(role), "middle") : null;
  if (mark) mark.style.fill = paint.ink;
  const place = { "data-layer": layer, "data-head": head };
  return [svgEl("g", place, box, ...(mark ? [mark] : []))];
}

/** `L4H0` of `L4H0.z`. */
function headOf(node: string): string {
  return node.replace(/\.z$/, "");
}

/** Seen without colour, and said beside the head's name below. */
function markOf(role: string): string {
  return role.includes("negative") ? "▽" : "▲";
}

function text(x: number, y: number, words: string, anchor: string): SVGTextElement {
  const place = { x, y: y + CELL.height / 2, "text-anchor": anchor };
  return svgEl("text", { ...place, class: "pw-strip-text", dy: "0.35em" }, words);
}

function response(view: CircuitView, { head, before, change, role }: Response) {
  return el(
    "li",
    {},
    `${markOf(role)} `,
    nameButton(view, headOf(head)),
    ` ${role}: ${signed(change)} (before ${signed(before)})`,
  );
}

function readingAt(found: Repair | null, at: readonly [number, number] | null): string {
  if (!found) return "";
  if (!at) return found.against.length === 0 ? "No head works against the patch." : "";
  const [layer, head] = at;
  const name = `L${layer}H${head}`;
  const role = found.against.find((one) => headOf(one.head) === name)?.role;
  const change = found.change[layer]?.[head] ?? Number.NaN;
  const before = found.before[layer]?.[head] ?? Number.NaN;
  const words = `${name}: change ${signed(change)}, before ${signed(before)}`;
  return role ? `${words}; ${role}` : words;
}
