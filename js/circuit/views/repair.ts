/** What later heads do about the picked nodes: backup heads, negative heads. */

import { computed, signal as makeSignal } from "@preact/signals-core";
import { el, live, react } from "../../draw/dom";
import { signed, tick } from "../../draw/number";
import { largest } from "../cells";
import type { Repair, Response } from "../record";
import { nameButton } from "./names";
import { about, picksCosted } from "./of_picks";
import { rebuilt } from "./rebuilt";
import { type At, headOf, markOf, responseStrip } from "./strip";
import type { CircuitView } from "./view";

export function repairView(view: CircuitView): HTMLElement {
  const { circuit, signal } = view;
  const at: At = makeSignal(null);
  const found = computed(() => circuit.value.repair);
  const hint = live(signal, () => hintOf(view), el("div", "pw-quiet"));
  const strip = el("div", "pw-repair-strip");
  const words = el("div", { class: "pw-circuit-words", "aria-live": "polite" });
  const named = el("ul", "pw-responses");
  live(signal, () => readingAt(found.value, at.value), words);
  rebuilt(view, strip, (own) => {
    at.value = null;
    return found.value ? [responseStrip(own, found.value, at)] : [];
  });
  rebuilt(view, named, (own) => {
    return found.value?.against.map((one) => response(own, one)) ?? [];
  });
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
  // The first line: in the others are the heads that are named below.
  const [first = ""] = found.words.split("\n");
  return (
    `${about(view, found.nodes)}Change of each later head's direct effect, ` +
    `from −${most} (red) to +${most} (blue). ${first}`
  );
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

const HINT = "Point at a head, or move with the arrow keys, for its numbers.";

function readingAt(found: Repair | null, at: At["value"]): string {
  if (!found) return "";
  if (!at) return found.against.length > 0 ? HINT : `No head works against it. ${HINT}`;
  const { row: layer, column: head } = at;
  const name = `L${layer}H${head}`;
  const change = found.change[layer]?.[head] ?? Number.NaN;
  const before = found.before[layer]?.[head] ?? Number.NaN;
  const role = found.against.find((one) => headOf(one.head) === name)?.role;
  const words = `${name}: change ${signed(change)}, before ${signed(before)}`;
  return role ? `${words}; ${role}` : words;
}
