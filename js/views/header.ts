/** What is being studied, in one line, and what the reader has to know about it. */

import { button, el, quiet, react } from "../draw/dom";
import { signed } from "../draw/number";
import type { Study } from "../state/study";
import type { MakeView, View } from "./view";
import { counted, directionWords, mean } from "./words";

export const headerView: MakeView = (view) => {
  const { store, signal } = view;
  const facts = el("div", { class: "pw-headline" });
  const line = el("div", { class: "pw-topline" }, facts, widthSwitch(view));
  const notices = el("div", { class: "pw-notices" });
  react(signal, () => {
    const study = store.study.value;
    facts.replaceChildren(...(study ? headline(study) : ["Waiting for the study."]));
  });
  react(signal, () => {
    const study = store.study.value;
    notices.replaceChildren(
      ...[...store.trouble.value].map(([trait, problem]) =>
        el(
          "div",
          { class: "pw-error", role: "alert" },
          `What the kernel sent as “${trait}” cannot all be shown. ${problem}`,
        ),
      ),
      ...(study ? noticesOf(study) : []).map((text) =>
        el("div", { class: "pw-notice" }, text),
      ),
    );
  });
  return el("header", { class: "pw-header" }, line, notices);
};

/** Text is easier to read in a column; large grids want all the room there is. */
function widthSwitch({ store, signal }: View): HTMLElement {
  const toggle = button("⤢", () => store.set("wide", !store.wide.peek()), signal);
  toggle.classList.add("pw-plain", "pw-wide-switch");
  toggle.setAttribute("aria-label", "Full width");
  toggle.title = "Full width";
  react(signal, () => toggle.setAttribute("aria-pressed", `${store.wide.value}`));
  return toggle;
}

function headline(study: Study): HTMLElement[] {
  const { model, layers, heads, positions, pairs, metric } = study;
  const size = [
    counted(layers, "layer"),
    counted(heads, "head"),
    counted(positions, "token"),
    counted(pairs.length, "pair"),
  ].join(" · ");
  const values = `clean ${signed(mean(metric.clean))}, corrupted ${signed(mean(metric.corrupted))}`;
  return [
    el("strong", { class: "pw-model" }, model),
    quiet(size),
    el("span", {}, directionWords(study)),
    el("span", {}, el("code", { class: "pw-code" }, metric.name), ` ${values}`),
  ];
}

function noticesOf({ notice, scale, metric }: Study): string[] {
  const noScale =
    `Clean and corrupted give the same ${metric.name}, so effects have no scale: ` +
    "what is shown are raw differences.";
  return [...(notice ? [notice] : []), ...(scale === null ? [noScale] : [])];
}
