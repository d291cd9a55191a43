// @vitest-environment node
import { expect, test } from "vitest";
import { readStudy, type Study } from "../../js/state/study";
import {
  positionName,
  tokenLabels,
  visibleText,
  visibleToken,
} from "../../js/state/tokens";
import { STUDY } from "./page/data";

function study(): Study {
  const read = readStudy(STUDY);
  if (!read) throw new Error("the page's study cannot be read");
  return read;
}

test.each([
  [" Mary", "·Mary"],
  ["Mary", "Mary"],
  ["\n\n", "⏎⏎"],
  ["\t", "⇥"],
  [" ", "·"],
  ["  x", "··x"],
  ["", "∅"],
  ["a\u200bb", "a⟨U+200B⟩b"],
  ["\u202eabc", "⟨U+202E⟩abc"],
  ["\u00a0", "⟨U+00A0⟩"],
  ["<b>&amp;</b>", "<b>&amp;</b>"],
  [" שלום", "·שלום"],
])("%j is shown as %j", (token, shown) => {
  expect(visibleText(token)).toBe(shown);
});

test("a leading space is kept apart", () => {
  expect(visibleToken(" Mary")).toEqual({ lead: "·", body: "Mary" });
});

test("labels are those of the pair, and say where pairs differ under the mean", () => {
  const [mean, second] = [tokenLabels(study(), -1), tokenLabels(study(), 1)];
  expect(mean[10]).toEqual({ lead: "·", body: "John", varies: true });
  expect(second[10]).toEqual({ lead: "·", body: "Mary", varies: false });
  expect(mean[6]?.varies).toBe(false);
});

test("a position goes by its name, else by its token", () => {
  expect(positionName(study(), -1, 14)).toBe("END");
  expect(positionName(study(), -1, 5)).toBe("·went 5");
});

test("several names of one position are all given", () => {
  const names = readStudy({ ...STUDY, labels: { S2: 3, END: 3 } })?.names;
  expect(names?.get(3)).toBe("S2/END");
});
