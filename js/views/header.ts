/** What is being studied, in one line, and what the reader has to know about it. */

import { button, el, quiet, react } from "../draw/dom";
import { signed } from "../draw/number";
import type { Study } from "../state/study";
import { pressed } from "./choice";
import type { MakeView, View } from "./view";
import { counted, directionWords, mean } from "./words";

export const headerView: MakeView = (view) => {
  const { store, signal } = view;
  const facts = el("div", "pw-headline");
  const line = el("div", "pw-topline", facts, widthSwitch(view));
  const notices = el("div", "pw-notices");
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
      ...(study ? noticesOf(study) : []).map((text) => el("div", "pw-notice", text)),
    );
  });
  return el("header", "pw-header", line, notices);
};

/** Text is easier to read in a column; large grids want all the room there is. */
function widthSwitch({ store, signal }: View): HTMLElement {
  const flip = () => store.set("wide", !store.wide.peek());
  const toggle = button("⤢", flip, signal, {
    class: "pw-plain pw-wide-switch",
    "aria-label": "Full width",
    title: "Full width",
  });
  pressed(toggle, () => store.wide.value, signal);
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
    el("strong", "pw-model", model),
    quiet(size),
    el("span", {}, directionWords(study)),
    el("span", {}, el("code", "pw-code", metric.name), ` ${values}`),
  ];
}

function noticesOf({ notice, scale, metric }: Study): string[] {
  const noScale =
    `Clean and corrupted give the same ${metric.name}, so effects have no scale: ` +
    "what is shown are raw differences.";
  return [...(notice ? [notice] : []), ...(scale === null ? [noScale] : [])];
}
