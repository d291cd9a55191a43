import { computed, effect } from "@preact/signals-core";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pooled, type ReadRow } from "../../js/draw/pool";
import {
  buildPyramid,
  levelFor,
  type Pyramid,
  wholePyramid,
} from "../../js/draw/pyramid";
import { type Pattern, triangleLength } from "../../js/state/pattern";
import { createPyramids } from "../../js/views/pyramids";
import { seeded } from "./page/data";

/** Of both signs, with holes; row by row, nothing right of the diagonal. */
function matrix(size: number): number[][] {
  const noise = seeded(size);
  return Array.from({ length: size }, (_, row) =>
    Array.from({ length: row + 1 }, () => {
      const value = Math.fround(noise() - 0.5);
      return noise() < 0.02 ? Number.NaN : value;
    }),
  );
}

function reading(rows: number[][]): ReadRow {
  return (row, from, out) => {
    out.fill(0);
    out.set(rows[row]?.slice(from, from + out.length) ?? []);
  };
}

function made(rows: number[][]): Pyramid {
  return wholePyramid(buildPyramid(reading(rows), rows.length));
}

/** The strongest of some values, in the plainest words; a hole where all are holes or 0. */
function strongest(values: number[]): number {
  const there = values.filter((value) => !Number.isNaN(value));
  const most = there.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
  return most === 0 && there.length < values.length ? Number.NaN : most;
}

test.each([1, 2, 3, 64, 65, 129, 200])(
  "every cell of every level is the strongest of its block: %i rows",
  (size) => {
    const rows = matrix(size);
    const { levels } = made(rows);
    expect(levels.map(({ block }) => block)).toEqual(
      levels.map((_, index) => 2 ** (index + 1)),
    );
    for (const level of levels) {
      const { block } = level;
      expect(level.size).toBe(Math.ceil(size / block));
      for (let row = 0; row < level.size; row++) {
        const line = new Float32Array(row + 1);
        level.read(row, 0, line);
        line.forEach((value, column) => {
          const under = rows
            .slice(row * block, (row + 1) * block)
            .flatMap((cells) => cells.slice(column * block, (column + 1) * block));
          expect(value).toBe(strongest(under));
        });
      }
    }
  },
);

test("the largest is the largest number, however it is reduced", () => {
  const rows = matrix(70);
  const infinite = rows.map((row) => [...row]);
  infinite[69]?.fill(Number.POSITIVE_INFINITY, 0, 3);
  const sizes = rows.flatMap((row, at) => (at === 69 ? row.slice(3) : row));
  const most = Math.abs(strongest(sizes));
  expect(made(infinite).largest).toBe(most);
  expect(made([[0]]).largest).toBe(0);
});

test("the level of a picture has cells no larger than its pixels", () => {
  const pyramid = made(matrix(600));
  const blockAt = (cells: number) => levelFor(pyramid, cells)?.block;
  expect([0.1, 1, 1.99].map(blockAt)).toEqual([undefined, undefined, undefined]);
  expect([2, 3.9, 4, 7, 8.1].map(blockAt)).toEqual([2, 2, 4, 4, 8]);
  expect(blockAt(1e6)).toBe(pyramid.levels.at(-1)?.block);
});

describe("a picture from a level", () => {
  const rows = matrix(256);
  const read = reading(rows);
  const pyramid = made(rows);

  test("is that from the cells where pixels hold whole blocks", () => {
    for (const [top, left, count, most] of [
      [0, 0, 256, 64],
      [0, 0, 256, 32],
      [128, 64, 128, 32],
      [192, 0, 64, 16],
    ] as const) {
      const part = { top, left, count };
      const level = levelFor(pyramid, count / most);
      if (!level) throw new Error("no level");
      const isCausal = true;
      const found = pooled({ ...level, isCausal }, part, most);
      expect(found).toEqual(pooled({ read, isCausal }, part, most));
    }
  });

  test("shows a single strong cell within a pixel of its place, wherever one looks", () => {
    const weak = rows.map((row) => row.map((value) => 0.1 * value));
    const [row, column] = [201, 77];
    weak[row]?.splice(column, 1, -9);
    const levels = made(weak);
    for (const [top, left, count, most] of [
      [0, 0, 256, 100],
      [3, 5, 250, 90],
      [150, 40, 101, 31],
      [201, 77, 55, 9],
      [120, 0, 82, 40],
    ] as const) {
      const level = levelFor(levels, count / most);
      if (!level) throw new Error("no level");
      const part = { top, left, count };
      const source = { ...level, isCausal: true };
      const { values, columns } = pooled(source, part, most);
      const places = [...values.keys()].filter((at) => Math.abs(values[at] ?? 0) > 1);
      expect(places).toHaveLength(1);
      expect(values[places[0] ?? 0]).toBe(-9);
      const at = places[0] ?? 0;
      const off = (found: number, cell: number, first: number) =>
        Math.abs(found - Math.floor(((cell - first) * columns) / count));
      expect(off(Math.floor(at / columns), row, top)).toBeLessThanOrEqual(1);
      expect(off(at % columns, column, left)).toBeLessThanOrEqual(1);
    }
  });
});

describe("pyramids of patterns", () => {
  const QUANTITY = { run: "difference", weighted: false } as const;
  let life: AbortController;

  beforeEach(() => {
    life = new AbortController();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });

  afterEach(() => {
    life.abort();
    vi.useRealTimers();
  });

  function pattern(size: number): Pattern {
    const run = (value: number) => ({
      weights: new Uint16Array(triangleLength(size)).fill(value),
      norms: new Float32Array(size).fill(1),
    });
    return { size, clean: run(65535), corrupted: run(0) };
  }

  test("of short prompts are there at once, each built once", () => {
    const pyramids = createPyramids(life.signal);
    const short = pattern(15);
    const found = pyramids.of(short, QUANTITY);
    expect(found?.largest).toBe(1);
    expect(pyramids.of(short, QUANTITY)).toBe(found);
    expect(pyramids.of(short, QUANTITY, true)?.largest).toBe(1);
    expect(pyramids.of(short, { ...QUANTITY, run: "corrupted" })?.largest).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("of long prompts are built in slices, and who waits is told", () => {
    const pyramids = createPyramids(life.signal);
    const long = pattern(1500);
    const found = computed(() => pyramids.of(long, QUANTITY));
    const seen: (Pyramid | null)[] = [];
    const stop = effect(() => {
      seen.push(found.value);
    });
    expect(seen).toEqual([null]);
    vi.runAllTimers();
    expect(seen).toHaveLength(2);
    expect(seen[1]?.largest).toBe(1);
    stop();
  });

  test("only one head has the levels of a large picture", () => {
    const pyramids = createPyramids(life.signal);
    const [first, second] = [pattern(1500), pattern(1400)];
    const sizes = (of: Pattern, isFine = false) => {
      pyramids.of(of, QUANTITY, isFine);
      vi.runAllTimers();
      return pyramids.of(of, QUANTITY, isFine)?.levels.map(({ size }) => size);
    };
    expect(sizes(first)).toEqual([375, 188, 94, 47]);
    expect(sizes(first, true)).toEqual([750, 375, 188, 94, 47]);
    expect(sizes(second, true)).toEqual([700, 350, 175, 88, 44]);
    expect(sizes(first)).toEqual([375, 188, 94, 47]);
  });

  test("the large head's is built before those that wait, and nothing after the end", () => {
    const pyramids = createPyramids(life.signal);
    const order: string[] = [];
    const watch = (name: string, of: Pattern, isFine: boolean) =>
      effect(() => {
        if (pyramids.of(of, QUANTITY, isFine)) order.push(name);
      });
    const [first, second, third] = [pattern(1500), pattern(1500), pattern(1500)];
    watch("first", first, false);
    watch("second", second, false);
    watch("large", second, true);
    vi.runAllTimers();
    expect(new Set(order.slice(0, 2))).toEqual(new Set(["second", "large"]));
    pyramids.of(third, QUANTITY);
    expect(vi.getTimerCount()).toBe(1);
    life.abort();
    expect(vi.getTimerCount()).toBe(0);
    expect(pyramids.of(third, QUANTITY)).toBeNull();
  });
});
