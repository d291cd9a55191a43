// @vitest-environment node
import { describe, expect, test } from "vitest";
import {
  estimateOf,
  missOf,
  readGrid,
  readJob,
  readVerified,
} from "../../js/state/results";
import { ShapeError } from "../../js/state/shape";

const VALUES = [1, 2, 3, 4, 5, Number.NaN];

function wire(data: unknown, shape = [2, 3]) {
  return { kind: "z", by: null, method: "atp", axes: ["layer", "head"], shape, data };
}

/** The values as they lie inside a larger message, at any byte. */
function within(offset: number): DataView {
  const bytes = new Uint8Array(offset + VALUES.length * 4 + 3).fill(0xff);
  bytes.set(new Uint8Array(Float32Array.from(VALUES).buffer), offset);
  return new DataView(bytes.buffer, offset, VALUES.length * 4);
}

describe("a grid", () => {
  test.each([0, 1, 4, 7])("is read from byte %d on", (offset) => {
    const grid = readGrid(wire(within(offset)), "grids.z");
    expect([...grid.values]).toEqual(VALUES);
    expect([grid.rows, grid.columns]).toEqual([2, 3]);
  });

  test("does not change when the message's memory is used again", () => {
    const data = within(4);
    const grid = readGrid(wire(data), "grids.z");
    data.setFloat32(0, 99, true);
    expect(grid.values[0]).toBe(1);
  });

  test.each([
    ["another number of values", wire(within(0), [3, 3])],
    ["no bytes", wire([1, 2, 3])],
    ["half a number", wire(new DataView(new ArrayBuffer(23)))],
    ["an unknown kind", { ...wire(within(0)), kind: "neuron" }],
    ["other axes", { ...wire(within(0)), axes: ["head", "layer"] }],
    ["nothing", null],
  ])("with %s is refused by name", (_, value) => {
    expect(() => readGrid(value, "grids.z")).toThrow(ShapeError);
    expect(() => readGrid(value, "grids.z")).toThrow(/^grids\.z/);
  });
});

describe("a verified node", () => {
  const raw = { estimate: 0.5, exact: 0.25, raw: 2, per_pair: [0.2, 0.3] };

  test("keeps both halves, and its miss", () => {
    const result = readVerified({ ...raw, halves: [0.2, 0.05] }, "verified.x");
    expect(result.halves).toEqual([0.2, 0.05]);
    expect(result.perPair).toEqual([0.2, 0.3]);
    expect(missOf(result)).toBe(0.25);
  });

  test("may lack an estimate and halves", () => {
    const result = readVerified({ ...raw, estimate: null, halves: null }, "verified.x");
    expect(missOf(result)).toBeNull();
    expect(result.halves).toBeNull();
  });

  test("may hold what JSON cannot", () => {
    const result = readVerified(
      { ...raw, exact: "nan", raw: "-inf", halves: null },
      "x",
    );
    expect(result.exact).toBeNaN();
    expect(result.raw).toBe(Number.NEGATIVE_INFINITY);
  });
});

test("an estimate comes from the result, else from the grid, else there is none", () => {
  const grids = new Map([["z" as const, readGrid(wire(within(0)), "grids.z")]]);
  const node = { kind: "z" as const, layer: 1, head: 0, pos: null, src: null };
  expect(estimateOf(node, undefined, grids)).toBe(4);
  expect(estimateOf({ ...node, head: 3 }, undefined, grids)).toBeNull();
  expect(estimateOf({ ...node, kind: "q" }, undefined, grids)).toBeNull();
  expect(estimateOf(null, undefined, grids)).toBeNull();
});

test("there is no job before the first, and a state that does not exist is refused", () => {
  expect(readJob({}).state).toBe("idle");
  expect(() => readJob({ id: 1, state: "lost", done: 0, total: 0 })).toThrow(
    /job.state/,
  );
});
