// @vitest-environment node
import { describe, expect, test } from "vitest";
import { pooled } from "../../js/draw/pool";
import { buildPyramid, wholePyramid } from "../../js/draw/pyramid";
import { labelTicks } from "../../js/draw/ticks";
import {
  type Pattern,
  patternBytes,
  profile,
  type Quantity,
  rowsOf,
  triangleLength,
  valueAt,
} from "../../js/state/pattern";
import { partOf } from "../../js/views/heads";

const FULL = 65535;

/** In fifths, which uint16 holds exactly. */
const PATTERN: Pattern = {
  size: 3,
  clean: {
    weights: Uint16Array.from([5, 1, 4, 2, 0, 3].map((w) => (w * FULL) / 5)),
    norms: Float32Array.from([2, 4, 8]),
  },
  corrupted: {
    weights: Uint16Array.from([1, 1, 0, 0, 1, 0].map((w) => w * FULL)),
    norms: Float32Array.from([1, 3, 5]),
  },
};

const CLEAN = [
  [1, 0, 0],
  [0.2, 0.8, 0],
  [0.4, 0, 0.6],
];
const CORRUPTED = [
  [1, 0, 0],
  [1, 0, 0],
  [0, 1, 0],
];

function expected({ run, weighted }: Quantity, row: number, column: number): number {
  const of = (rows: number[][], norms: Float32Array) =>
    (rows[row]?.[column] ?? 0) * (weighted ? (norms[column] ?? 0) : 1);
  const clean = of(CLEAN, PATTERN.clean.norms);
  const corrupted = of(CORRUPTED, PATTERN.corrupted.norms);
  if (run === "difference") return clean - corrupted;
  return run === "clean" ? clean : corrupted;
}

function reduced(pattern: Pattern, quantity: Quantity) {
  return wholePyramid(buildPyramid(rowsOf(pattern, quantity), pattern.size));
}

const QUANTITIES = (["clean", "corrupted", "difference"] as const).flatMap((run) =>
  [false, true].map((weighted) => ({ run, weighted })),
);

describe.each(QUANTITIES)("$run, weighted: $weighted", (quantity) => {
  test("is read by cell, by part of a row, by row and by column", () => {
    for (const position of [0, 1, 2]) {
      const row = [0, 1, 2].map((column) => expected(quantity, position, column));
      const column = [0, 1, 2].map((from) => expected(quantity, from, position));
      row.forEach((value, at) => {
        expect(valueAt(PATTERN, quantity, position, at)).toBeCloseTo(value, 4);
      });
      const part = new Float32Array(2).fill(9);
      rowsOf(PATTERN, quantity)(position, 1, part);
      expect([...part].map((value) => value.toFixed(3))).toEqual(
        row.slice(1).map((value) => value.toFixed(3)),
      );
      for (const [direction, values] of [
        ["to", row],
        ["from", column],
      ] as const) {
        const found = profile(PATTERN, quantity, position, direction);
        found.forEach((value, at) => {
          expect(value).toBeCloseTo(values[at] ?? Number.NaN, 4);
        });
      }
    }
  });

  test("has a largest magnitude", () => {
    const sizes = [0, 1, 2].flatMap((row) =>
      [0, 1, 2].map((column) => Math.abs(expected(quantity, row, column))),
    );
    const most = Math.max(...sizes);
    expect(reduced(PATTERN, quantity).largest).toBeCloseTo(most, 4);
  });
});

test("what is not finite is no scale", () => {
  const norms = Float32Array.from([Number.NaN, Number.POSITIVE_INFINITY, 2]);
  const pattern = { ...PATTERN, clean: { ...PATTERN.clean, norms } };
  const quantity = { run: "clean", weighted: true } as const;
  expect(reduced(pattern, quantity).largest).toBeCloseTo(1.2);
});

test("patterns of a head take four bytes a cell of their triangles", () => {
  expect(patternBytes(1)).toBe(4 + 8);
  expect(patternBytes(2000)).toBe(4 * 2001000 + 16000);
});

describe("pooling", () => {
  const whole = (size: number) => ({ top: 0, left: 0, count: size });

  test("keeps one strong cell among a million weak ones, with its sign", () => {
    const read = (row: number, _: number, out: Float32Array) => {
      out.fill(0.01);
      if (row === 713) out[402] = -0.9;
    };
    const matrix = pooled({ read }, whole(1000), 100);
    expect([matrix.rows, matrix.columns]).toEqual([100, 100]);
    const strong = [...matrix.values.keys()].filter(
      (at) => Math.abs(matrix.values[at] ?? 0) > 0.5,
    );
    expect(strong).toEqual([71 * 100 + 40]);
    expect(matrix.values[7140]).toBeCloseTo(-0.9);
  });

  test("agrees with the largest of each block, whatever the sizes", () => {
    for (const [size, most] of [
      [7, 3],
      [10, 4],
      [5, 5],
      [3, 90],
      [1, 1],
      [4, 0.5],
    ] as const) {
      const value = (row: number, column: number) => Math.sin(row * 31 + column * 17);
      const read = (row: number, from: number, out: Float32Array) => {
        for (const at of out.keys()) out[at] = value(row, from + at);
      };
      const { rows, values } = pooled({ read }, whole(size), most);
      const blocks = new Float32Array(rows * rows);
      for (let row = 0; row < size; row++) {
        for (let column = 0; column < size; column++) {
          const at =
            Math.floor((row * rows) / size) * rows + Math.floor((column * rows) / size);
          const now = value(row, column);
          if (Math.abs(now) > Math.abs(blocks[at] ?? 0)) blocks[at] = now;
        }
      }
      expect(rows).toBe(Math.max(1, Math.min(size, Math.floor(most))));
      expect([...values]).toEqual([...blocks]);
    }
  });

  test("reads only the part that is looked at", () => {
    const rows: [number, number][] = [];
    const read = (row: number, from: number) => rows.push([row, from]);
    pooled({ read }, { top: 5, left: 2, count: 3 }, 10);
    expect(rows).toEqual([
      [5, 2],
      [6, 2],
      [7, 2],
    ]);
  });

  test("a value that is none is seen where nothing is stronger than zero", () => {
    const values = [Number.NaN, 0, 0, 0.5];
    const read = (row: number, _: number, out: Float32Array) => {
      out.set(row < 2 ? values.slice(0, 2) : [Number.NaN, 0.5]);
    };
    const pool = (top: number) =>
      pooled({ read }, { top, left: 0, count: 2 }, 1).values[0];
    expect(pool(0)).toBeNaN();
    expect(pool(2)).toBe(0.5);
  });
});

describe("labels of a long axis", () => {
  test("stand at round positions, relative to the part", () => {
    expect(labelTicks(0, 10, 4)).toEqual([0, 4, 8]);
    expect(labelTicks(3, 10, 4)).toEqual([1, 5, 9]);
    expect(labelTicks(0, 3, 1)).toEqual([0, 1, 2]);
    expect(labelTicks(0, 1, 12)).toEqual([0]);
  });

  test("leave room for named positions, which come first", () => {
    expect(labelTicks(0, 10, 4, [9, 3])).toEqual([3, 9]);
    expect(labelTicks(0, 10, 4, [9, 8, 20])).toEqual([0, 4, 9]);
  });
});

test("what comes later has no value in a picture, however its cells are pooled", () => {
  const size = 9;
  const triangle = new Uint16Array(triangleLength(size)).fill(6553);
  const run = { weights: triangle, norms: new Float32Array(size).fill(1) };
  const pattern = { size, clean: run, corrupted: run };
  for (const [top, left, count, most] of [
    [0, 0, 9, 9],
    [0, 0, 9, 4],
    [0, 0, 9, 1],
    [2, 1, 5, 3],
    [0, 4, 5, 5],
    [4, 0, 5, 2],
  ] as const) {
    const part = { size, top, left, count };
    const quantity = { run: "clean", weighted: false } as const;
    const levels = reduced(pattern, quantity);
    const { matrix, unknown } = partOf(pattern, quantity, part, most, levels);
    const possible = new Set<number>();
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < count; column++) {
        const bin = (cell: number) => Math.floor((cell * matrix.rows) / count);
        const isPast = left + column <= top + row;
        if (isPast) possible.add(bin(row) * matrix.rows + bin(column));
      }
    }
    for (const [at, value] of matrix.values.entries()) {
      expect(Number.isNaN(value)).toBe(!possible.has(at));
      expect(unknown[at]).toBe(possible.has(at) ? 0 : 2);
    }
  }
});
