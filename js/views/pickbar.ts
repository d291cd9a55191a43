/** Picking by name, and the way back to earlier picks. */

import { button, el, listen, react } from "../draw/dom";
import { readTyped } from "../state/typed";
import { pickAll } from "./link";
import type { View } from "./view";

export function pickTools(view: View): HTMLElement {
  return el("span", "pw-pick-tools", ...historyButtons(view), ...typed(view));
}

function historyButtons({ store, signal }: View): HTMLElement[] {
  const { history } = store;
  const named = (label: string) => ({ class: "pw-plain", "aria-label": label });
  const back = button("←", history.back, signal, named("Earlier picks"));
  const forward = button("→", history.forward, signal, named("Later picks"));
  react(signal, () => {
    back.disabled = !history.canBack.value;
    forward.disabled = !history.canForward.value;
  });
  return [back, forward];
}

function typed(view: View): HTMLElement[] {
  const { store, signal } = view;
  const input = el("input", {
    class: "pw-input pw-typed",
    placeholder: "pick by name: 9.9 L9H9.q@12",
    "aria-label": "Pick nodes by name",
    spellcheck: "false",
  });
  const problem = el("span", { class: "pw-error", role: "alert" });
  listen(
    input,
    { input: () => problem.replaceChildren(), keydown: (event) => onKey(event) },
    signal,
  );
  return [input, problem];

  function onKey({ key }: KeyboardEvent): void {
    if (key === "Escape") input.value = "";
    if (key !== "Enter") return;
    const study = store.study.peek();
    if (!study) return;
    const { names, problems } = readTyped(input.value, study, store.kind.peek());
    problem.textContent = problems.join("; ");
    pickAll(view, names, "toggle");
    if (problems.length === 0) input.value = "";
  }
}
