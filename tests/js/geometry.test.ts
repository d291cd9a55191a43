// @vitest-environment node
import { describe, expect, test } from "vitest";
import {
  cellAt,
  cellCount,
  cellsIn,
  FACET_GAP,
  labelStep,
  layoutFacets,
  movedCell,
  nearestCell,
  niceTicks,
  rectBetween,
} from "../../js/draw/geometry";

const shape = { rows: 5, columns: 8 };
const size = { width: 160, height: 50 };

describe("the cell under a point", () => {
  test("is found for every cell's centre", () => {
    for (let row = 0; row < shape.rows; row++) {
      for (let column = 0; column < shape.columns; column++) {
        const x = ((column + 0.5) / shape.columns) * size.width;
        const y = ((row + 0.5) / shape.rows) * size.height;
        expect(cellAt({ x, y, ...size }, shape)).toEqual({ row, column });
      }
    }
  });

  test.each([
    [-0.1, 10],
    [10, -0.1],
    [160, 10],
    [10, 50],
  ])("is none at %d, %d", (x, y) => {
    expect(cellAt({ x, y, ...size }, shape)).toBeNull();
  });

  test("is none on a canvas without a size", () => {
    expect(cellAt({ x: 0, y: 0, width: 0, height: 0 }, shape)).toBeNull();
  });
});

test("arrows move by one and stop at the edge; other keys do not move", () => {
  expect(movedCell({ row: 1, column: 1 }, "ArrowDown", shape)).toEqual({
    row: 2,
    column: 1,
  });
  expect(movedCell({ row: 0, column: 7 }, "ArrowUp", shape)?.row).toBe(0);
  expect(movedCell({ row: 0, column: 7 }, "ArrowRight", shape)?.column).toBe(7);
  expect(movedCell({ row: 0, column: 7 }, "b", shape)).toBeNull();
});

describe("the layout of facets", () => {
  const wide = { rows: 5, columns: 15 };

  test.each([480, 600, 900, 1400, 1800])("fills %d px and no more", (width) => {
    const { perLine, cellWidth } = layoutFacets(width, 4, wide, 34);
    const used = perLine * (34 + 15 * cellWidth) + (perLine - 1) * FACET_GAP;
    expect(used).toBeLessThanOrEqual(width);
    expect(cellWidth).toBeGreaterThanOrEqual(10);
    expect(cellWidth).toBeLessThanOrEqual(28);
  });

  test("puts more facets on a wider line", () => {
    const lines = [400, 800, 1400].map(
      (width) => layoutFacets(width, 4, wide, 34).perLine,
    );
    expect(lines).toEqual([1, 2, 4]);
  });

  test("spreads facets evenly over lines", () => {
    expect(layoutFacets(800, 5, wide, 34).perLine).toBe(3);
    expect(layoutFacets(900, 4, { rows: 5, columns: 16 }, 34).perLine).toBe(2);
  });

  test("keeps cells hittable in long prompts, and canvases possible in very long ones", () => {
    expect(layoutFacets(600, 4, { rows: 5, columns: 100 }, 34).cellWidth).toBe(10);
    const { cellWidth } = layoutFacets(600, 4, { rows: 5, columns: 2000 }, 34);
    expect(cellWidth * 2000).toBeLessThanOrEqual(8000);
  });

  test("takes somewhat narrow cells before it lets a plot scroll", () => {
    const { cellWidth } = layoutFacets(600, 3, { rows: 48, columns: 60 }, 34);
    expect(cellWidth).toBe(9);
  });

  test("squeezes a long prompt into the width when that is asked for", () => {
    const long = { rows: 5, columns: 400 };
    const { cellWidth } = layoutFacets(600, 3, long, 34, true);
    expect(cellWidth * 400).toBeLessThanOrEqual(600 - 34);
    expect(layoutFacets(900, 1, wide, 34, true)).toEqual(
      layoutFacets(900, 1, wide, 34),
    );
  });

  test("sets wide facets of big models side by side", () => {
    expect(layoutFacets(1400, 5, { rows: 48, columns: 64 }, 30).perLine).toBe(2);
  });

  test("flattens cells of deep models", () => {
    const deep = { rows: 100, columns: 8 };
    expect(layoutFacets(1400, 2, deep, 34).cellHeight).toBe(8);
  });

  test("survives a width of nothing", () => {
    expect(layoutFacets(0, 0, { rows: 1, columns: 1 }, 34).cellWidth).toBe(10);
  });
});

test("labels are thinned to the room that one needs", () => {
  expect(labelStep(20, 12)).toBe(1);
  expect(labelStep(10, 12)).toBe(2);
  expect(labelStep(2, 12)).toBe(6);
});

test.each([
  [-1, 1, [-1, -0.5, 0, 0.5, 1]],
  [0, 0.3, [0, 0.1, 0.2, 0.3]],
  [-0.03, 0.03, [-0.02, 0, 0.02]],
  [2, 2, [2]],
])("ticks from %d to %d are round", (low, high, expected) => {
  const ticks = niceTicks(low, high, 5);
  expect(ticks.length).toBe(expected.length);
  for (const [index, tick] of ticks.entries()) {
    expect(tick).toBeCloseTo(expected[index] ?? Number.NaN);
  }
});

describe("a rectangle of cells", () => {
  test("has its corners inside, in whatever order they came", () => {
    const rect = rectBetween({ row: 3, column: 1 }, { row: 1, column: 2 });
    expect(rect).toEqual({ rows: [1, 4], columns: [1, 3] });
    expect(cellCount(rect)).toBe(6);
    const cells = [...cellsIn(rect)];
    expect(cells).toHaveLength(6);
    expect(cells[0]).toEqual({ row: 1, column: 1 });
    expect(cells.at(-1)).toEqual({ row: 3, column: 2 });
  });

  test("of one cell is that cell", () => {
    const cell = { row: 2, column: 5 };
    expect([...cellsIn(rectBetween(cell, cell))]).toEqual([cell]);
  });

  test.each([
    [-50, -50, { row: 0, column: 0 }],
    [50, 25, { row: 2, column: 2 }],
    [999, 999, { row: 4, column: 7 }],
  ])("ends at the cell nearest to %d, %d", (x, y, expected) => {
    expect(nearestCell({ x, y, ...size }, shape)).toEqual(expected);
  });
});
