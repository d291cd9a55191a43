// @vitest-environment node
import { expect, test } from "vitest";
import { signed, tick, unsigned } from "../../js/draw/number";

test.each([
  [0.3125, "+0.313"],
  [-0.04, "−0.040"],
  [0, "0"],
  [-0, "0"],
  [0.00012, "+0.0001"],
  [-0.000004, "−4e−6"],
  [123.456, "+123.5"],
  [Number.NaN, "not a number"],
  [Number.NEGATIVE_INFINITY, "−∞"],
])("%d is written as %s", (value, text) => {
  expect(signed(value)).toBe(text);
});

test("sizes have no sign, ticks no needless digits", () => {
  expect(unsigned(0.25)).toBe("0.250");
  expect([-0.5, 0, 0.30000000000000004].map(tick)).toEqual(["−0.5", "0", "0.3"]);
});
