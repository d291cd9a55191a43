import { expect, test } from "vitest";
import { exportedHost } from "../../js/host/exported";
import { createStore } from "../../js/state/store";
import { mountWidget } from "../../js/views/widget";
import { find, life, open, place } from "./opened";
import { TRAITS } from "./page/data";
import { settle } from "./support";

/** The whole widget as a saved page shows it, with nothing that was answered. */
function openSaved(traits: object = {}): void {
  open({}, 1000, (_, place, signal) => {
    const host = exportedHost({ traits: { ...TRAITS, ...traits }, answers: {} });
    mountWidget(createStore(host, signal), place, signal);
  });
}

function shown(selector: string): HTMLElement[] {
  const found = [...place.querySelectorAll<HTMLElement>(selector)];
  return found.filter((element) => !element.closest("[hidden]"));
}

test("offers nothing that only a kernel can do", async () => {
  openSaved({ selection: ["L4H0.z", "L0H0.z"], folds: [] });
  await settle();
  const labels = shown("button").map(({ textContent }) => textContent);
  expect(labels).not.toContain("try again");
  expect(labels).not.toContain("open in CircuitsVis");
  expect(labels).not.toContain("why?");
  expect(shown(".pw-verify")).toEqual([]);
  expect(find(".pw-attention", HTMLElement).textContent).toMatch(/no kernel to ask/);
  expect(find(".pw-neurons", HTMLElement).textContent).toMatch(/no kernel/);
  life.abort();
});

test("says what a click does, which is not to run anything", () => {
  openSaved({ selection: [], verified: {} });
  expect(find(".pw-readout", HTMLElement).textContent).toContain("A saved page");
  const scatter = find(".pw-scatter", HTMLElement).textContent;
  expect(scatter).toContain("Nothing is verified yet");
  expect(scatter).not.toContain("is run");
});

test("a live page offers them", async () => {
  open({ ...TRAITS, selection: ["L4H0.z"] });
  const labels = shown("button").map(({ textContent }) => textContent);
  expect(labels).toEqual(expect.arrayContaining(["open in CircuitsVis", "why?"]));
  expect(shown(".pw-verify")).toHaveLength(1);
});
