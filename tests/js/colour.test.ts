// @vitest-environment node
import { describe, expect, test } from "vitest";
import { colourAt, colourOffset, makePalette, type Rgb } from "../../js/draw/colour";

function luminance([red, green, blue]: Rgb): number {
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

const shares = Array.from({ length: 21 }, (_, index) => index / 20);

describe.each([true, false])("dark: %s", (dark) => {
  const { diverging, miss } = makePalette(dark);

  test.each([
    ["above zero", diverging, 1],
    ["below zero", diverging, -1],
    ["miss", miss, 1],
  ])("%s, strength is told by lightness alone", (_, map, sign) => {
    const steps = shares.map((share) => luminance(colourAt(map, sign * share)));
    const ordered = [...steps].sort((a, b) => (dark ? a - b : b - a));
    expect(steps).toEqual(ordered);
  });

  test("equal magnitudes are about equally light", () => {
    for (const share of shares) {
      const [above, below] = [colourAt(diverging, share), colourAt(diverging, -share)];
      expect(Math.abs(luminance(above) - luminance(below))).toBeLessThan(45);
    }
  });

  test("positive is blue and negative is red", () => {
    const [red, , blue] = colourAt(diverging, 0.6);
    expect(blue).toBeGreaterThan(red + 40);
    const [otherRed, , otherBlue] = colourAt(diverging, -0.6);
    expect(otherRed).toBeGreaterThan(otherBlue + 40);
  });
});

test("values beyond the scale get its end, and an empty scale gives zero's colour", () => {
  expect(colourOffset(3, 1)).toBe(colourOffset(1, 1));
  expect(colourOffset(-3, 1)).toBe(0);
  expect(colourOffset(0.4, 0)).toBe(colourOffset(0, 1));
  expect(colourOffset(0.5, 1)).toBe(colourOffset(1, 2));
});
