import { expect, test } from "vitest";
import { host, open as openWith, place, store } from "./opened";
import { CASES } from "./page/cases";
import { TRAITS } from "./page/data";

function open(traits: object = {}): void {
  openWith({ ...CASES.mine?.(), ...traits });
}

function choices(): string[] {
  const buttons = [...place.querySelectorAll<HTMLElement>(".pw-switch .pw-shown")];
  return buttons.flatMap(({ dataset }) => dataset.shown ?? []);
}

const USUAL = ["estimate", "exact", "known", "miss"];

test("one's own values can be chosen as long as there are any", () => {
  open({ mine: {}, shown: "estimate" });
  expect(choices()).toEqual(USUAL);
  host.receive("mine", CASES.mine?.().mine);
  expect(choices()).toEqual([...USUAL, "mine", "mine_miss"]);
  place.querySelector<HTMLElement>('[data-shown="mine_miss"]')?.click();
  expect(host.get("shown")).toBe("mine_miss");
  host.receive("mine", {});
  expect(choices()).toContain("mine_miss");
  host.receive("shown", "known");
  expect(choices()).toEqual(USUAL);
});

test("what a difference is taken from is said beside the colours", () => {
  open();
  const words = place.querySelector(".pw-line-scale .pw-quiet")?.textContent;
  expect(words).toMatch(/^mine − exact where known, mine − estimate elsewhere/);
  expect(place.querySelector(".pw-legend")?.textContent).toContain("not given");
  expect(
    place.querySelector('[data-kind="resid_pre"]')?.getAttribute("aria-label"),
  ).toMatch(/^Residual stream, mine minus exact or estimate:/);
  store.set("shown", "mine");
  expect(place.querySelector(".pw-line-scale .pw-quiet")?.textContent).toMatch(
    /^0 = as/,
  );
});

test("the line of a node has all three, and says what the miss is from", () => {
  open({ selection: ["L4H0.z"] });
  const line = () => place.querySelector(".pw-readout-live")?.textContent;
  expect(line()).toMatch(
    /estimate \+0\.\d+.*exact \+0\.271.*mine \+0\.\d+my miss [+−]0\.\d+ from exact/,
  );
  host.receive("selection", ["L1H1.z"]);
  expect(line()).toContain("from the estimate");
  host.receive("selection", ["L4.resid_pre@14"]);
  expect(line()).toContain("mine no value");
  host.receive("selection", ["L4H0.q"]);
  expect(line()).not.toContain("mine");
  host.receive("selection", ["L4H0.z@3"]);
  expect(line()).not.toContain("mine");
});

test("what cannot be read is said, and hides nothing else", () => {
  const good = Object(CASES.mine?.().mine).z;
  open({ mine: { resid_pre: { ...good, shape: [3, 3] }, z: good, "<b>": good } });
  expect([...store.mine.value.keys()]).toEqual(["z"]);
  expect(place.textContent).toContain(
    "mine.resid_pre.data: expected 9 values (Float32Array), got 40",
  );
  host.receive("mine", TRAITS.mine);
  expect(store.mine.value.size).toBe(0);
});
