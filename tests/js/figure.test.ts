// @vitest-environment node
import { describe, expect, test } from "vitest";
import { makeFigure } from "../../js/state/figure";
import type { Grid, Verified } from "../../js/state/results";
import type { Shown } from "../../js/state/settings";

function grid(kind: Grid["kind"], values: number[]): [Grid["kind"], Grid] {
  const columns = values.length / 2;
  return [
    kind,
    {
      kind,
      method: "atp",
      isSigned: true,
      rows: 2,
      columns,
      values: Float32Array.from(values),
      spread: null,
    },
  ];
}

const GRIDS = new Map([
  grid("resid_pre", [0.5, Number.NaN, 0, 0.1, 0.2, -0.75]),
  grid("z", [0.1, 0.2, 0.3, 0.4]),
]);

function verified(exact: number, estimate: number | null = 0): Verified {
  return {
    estimate,
    exact,
    raw: exact,
    perPair: [exact],
    halves: null,
    interval: null,
  };
}

function draw(shown: Shown, results: Record<string, Verified> = {}) {
  return makeFigure(GRIDS, new Map(Object.entries(results)), shown);
}

test("estimates: one scale for each line of facets, and NaN is missing", () => {
  const { scales, facets } = draw("estimate", { "L1H0.z": verified(0.3) });
  expect(scales.position).toBe(0.75);
  expect(scales.head).toBeCloseTo(0.4);
  expect(facets.get("resid_pre")?.unknown[1]).toBe(0);
  expect([...(facets.get("z")?.verified ?? [])]).toEqual([0, 0, 1, 0]);
});

test.each(["estimate", "exact", "known", "miss"] as const)(
  "%s: a large exact effect widens its own line in every mode",
  (shown) => {
    const { scales } = draw(shown, { "L0H1.z": verified(-2, 2) });
    expect(scales.position).toBe(0.75);
    expect(scales.head).toBe(shown === "miss" ? 4 : 2);
  },
);

test("an effect that lies outside its grid, or is not finite, widens nothing", () => {
  const results = { "L7H0.z": verified(9), "L0H0.z": verified(Number.NaN) };
  const { scales, facets } = draw("known", results);
  expect(scales.head).toBeCloseTo(0.4);
  expect(facets.get("z")?.values[0]).toBeNaN();
});

test("a method without signs is judged by sizes, and says so", () => {
  const [kind, signed] = grid("z", [0.1, 0.2, 0.3, 0.4]);
  const grids = new Map([[kind, { ...signed, isSigned: false, method: "graddrop" }]]);
  const results = new Map([["L0H1.z", verified(-0.5, 0.2)]]);
  const facet = makeFigure(grids, results, "miss").facets.get("z");
  expect(facet?.values[1]).toBeCloseTo(0.3);
  expect(facet).toMatchObject({ isSigned: false, method: "graddrop" });
});

test("exact where known: estimates elsewhere, and the grid's own values stay", () => {
  const { facets } = draw("known", { "L1H0.z": verified(0.7, 0.3) });
  const values = [...(facets.get("z")?.values ?? [])];
  expect(values.map((value) => Number(value.toFixed(3)))).toEqual([0.1, 0.2, 0.7, 0.4]);
  expect([...(facets.get("z")?.unknown ?? [])]).toEqual([0, 0, 0, 0]);
  expect(GRIDS.get("z")?.values[2]).toBeCloseTo(0.3);
});

test("exact: what was not run is unknown, and colours keep their meaning", () => {
  const { scales, facets } = draw("exact", { "L1.resid_pre@2": verified(-0.02) });
  const facet = facets.get("resid_pre");
  expect(facet?.values[5]).toBeCloseTo(-0.02);
  expect([...(facet?.unknown ?? [])]).toEqual([1, 1, 1, 1, 1, 0]);
  expect(scales.position).toBe(0.75);
});

test("miss: has no sign, and is missing without an estimate", () => {
  const results = { "L0H1.z": verified(0.2, 0.5), "L1H1.z": verified(0.2, null) };
  const facet = draw("miss", results).facets.get("z");
  expect(facet?.values[1]).toBeCloseTo(0.3);
  expect(facet?.values[3]).toBeNaN();
  expect(facet?.unknown[3]).toBe(0);
});

test("facets stand in one order whatever order the grids came in", () => {
  const turned = new Map([...GRIDS].reverse());
  const { facets } = makeFigure(turned, new Map(), "estimate");
  expect([...facets.keys()]).toEqual(["resid_pre", "z"]);
});

test("grids of zeros have a scale of zero", () => {
  const zeros = new Map([grid("z", [0, 0, 0, 0])]);
  expect(makeFigure(zeros, new Map(), "estimate").scales).toEqual({
    position: 0,
    head: 0,
  });
});

test("a facet is made anew when something in it has changed, and only then", () => {
  const first = draw("known", { "L1H0.z": verified(0.7) });
  const next = (shown: Shown, results: Record<string, Verified>, grids = GRIDS) =>
    makeFigure(grids, new Map(Object.entries(results)), shown, first).facets;
  // The kernel sends all results again with every new one.
  const one = { "L1H0.z": verified(0.7), "L0.resid_pre@1": verified(0.2) };
  expect(next("known", one).get("z")).toBe(first.facets.get("z"));
  expect(next("known", one).get("resid_pre")).not.toBe(first.facets.get("resid_pre"));
  const others = [
    next("miss", one),
    next("known", { "L1H0.z": verified(0.8) }),
    next("known", { "L1H0.z": verified(0.7, 0.1) }),
    next("known", { "L1H1.z": verified(0.7) }),
    next("known", {}),
    next("known", one, new Map([grid("z", [0.1, 0.2, 0.3, 0.5])])),
  ];
  for (const facets of others) {
    expect(facets.get("z")).not.toBe(first.facets.get("z"));
    expect(facets.get("z")?.values).not.toEqual(undefined);
  }
});

describe("somebody's own values", () => {
  const mine = new Map([["z" as const, Float32Array.of(0.5, 0.5, Number.NaN, -3)]]);
  const results = new Map([["L0H1.z", verified(0.75)]]);
  const own = (shown: Shown, grids = GRIDS) =>
    makeFigure(grids, results, shown, undefined, mine);
  const rounded = (values: Iterable<number> | undefined) =>
    [...(values ?? [])].map((value) => Number(value.toFixed(3)));

  test("are shown as they are; kinds that were not given are blank", () => {
    const { facets, scales } = own("mine");
    expect(rounded(facets.get("z")?.values)).toEqual([0.5, 0.5, Number.NaN, -3]);
    expect(rounded(facets.get("z")?.unknown)).toEqual([0, 0, 0, 0]);
    expect(rounded(facets.get("z")?.verified)).toEqual([0, 1, 0, 0]);
    expect(rounded(facets.get("resid_pre")?.unknown)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(scales).toEqual({ position: 0.75, head: 3 });
  });

  test("miss the exact effect where it is known, the estimate elsewhere", () => {
    const { facets } = own("mine_miss");
    const expected = [0.4, -0.25, Number.NaN, -3.4];
    expect(rounded(facets.get("z")?.values)).toEqual(expected);
    expect(rounded(facets.get("resid_pre")?.unknown)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test("are judged by size where an estimate has no sign", () => {
    const [kind, signed] = grid("z", [0.1, 0.2, 0.3, 0.4]);
    const sized = new Map([[kind, { ...signed, isSigned: false }]]);
    const { facets } = own("mine_miss", sized);
    expect(rounded(facets.get("z")?.values)).toEqual([0.4, -0.25, Number.NaN, 2.6]);
  });

  test("do not widen the scale of what else can be shown", () => {
    expect(own("estimate").scales.head).toBe(0.75);
  });

  test("of another size than the grid are not drawn", () => {
    const wrong = new Map([["z" as const, Float32Array.of(1, 2)]]);
    for (const shown of ["mine", "mine_miss"] as const) {
      const { facets } = makeFigure(GRIDS, results, shown, undefined, wrong);
      expect(rounded(facets.get("z")?.unknown)).toEqual([1, 1, 1, 1]);
    }
  });

  test("are drawn anew when they are others, and only where they are shown", () => {
    const again = new Map([["z" as const, Float32Array.of(1, 1, 1, 1)]]);
    for (const [shown, isSame] of [
      ["mine", false],
      ["mine_miss", false],
      ["known", true],
    ] as const) {
      const first = own(shown);
      const next = makeFigure(GRIDS, results, shown, first, again);
      expect(next.facets.get("z") === first.facets.get("z")).toBe(isSame);
    }
  });
});
