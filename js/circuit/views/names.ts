/** Names of the ends of paths: a click picks a head, or looks at an MLP. */

import { button, react } from "../../draw/dom";
import { headLabel } from "../../state/names";
import { linkHover, pickNode } from "../../views/link";
import { endPlace, isAt, parseEnd, pickOf, subjectOf } from "../ends";
import type { CircuitView } from "./view";

/** What a name does when it is clicked, in words; empty for nothing. */
export function actOf(name: string): string {
  const end = parseEnd(name);
  if (!end) return "";
  const pick = pickOf(end);
  if (pick !== null) return `Pick ${pick}`;
  return subjectOf(end) ? `Look at the paths of ${name}` : "";
}

/** Picks a head beside the others, or shows its paths where it is picked. */
export function goTo(view: CircuitView, name: string): void {
  const end = parseEnd(name);
  if (!end) return;
  const [pick, subject] = [pickOf(end), subjectOf(end)];
  const isPicked = pick !== null && view.store.selection.peek().includes(pick);
  if (pick !== null && !isPicked) pickNode(view, pick, "toggle");
  else if (subject) view.asked.value = subject;
}

export function nameButton(view: CircuitView, name: string): HTMLElement {
  const { store, ui, signal } = view;
  const act = actOf(name);
  const element = button(name, () => goTo(view, name), signal, {
    class: "pw-plain pw-end",
    title: act || false,
    "data-end": name,
  });
  element.disabled = act === "";
  const end = parseEnd(name);
  react(signal, () => {
    const isHead = end?.layer != null && end.head !== null && end.port === null;
    const nickname = isHead
      ? headLabel(store.names.value, end.layer ?? 0, end.head ?? 0)
      : name;
    element.textContent = nickname.startsWith(name) ? nickname : name;
    const study = store.study.value;
    const isLit = study && end && isAt(end, ui.hover.value, study);
    element.classList.toggle("pw-lit", isLit === true);
  });
  const place = () => {
    const study = store.study.peek();
    return end && study ? endPlace(end, study) : null;
  };
  linkHover(view, element, place);
  return element;
}
