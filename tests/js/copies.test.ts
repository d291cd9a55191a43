// @vitest-environment node
import { expect, test } from "vitest";
import { toPython } from "../../js/state/code";
import { toCsv } from "../../js/state/csv";
import { readGrid, readVerified } from "../../js/state/results";
import { readStudy, type Study } from "../../js/state/study";
import { grid, STUDY, VERIFIED } from "./page/data";

const study = openStudy();

function openStudy(): Study {
  const read = readStudy(STUDY);
  if (!read) throw new Error("no study");
  return read;
}

type Data = Parameters<typeof toCsv>[0];

/** The lines of a file, its header first. */
function written(data: Pick<Data, "grids" | "verified"> & Partial<Data>): string[] {
  const text = toCsv({ study, mine: new Map(), names: {}, method: "atp", ...data });
  return text.trim().split("\r\n");
}

const SETTINGS = {
  selection: [],
  shown: "estimate",
  pair: 0,
  method: "atp",
  kind: "",
  names: {},
  folds: ["row", "neurons", "circuit"],
  wide: false,
} as const;

test("the code of a new widget has nothing to set", () => {
  expect(toPython(study, [], (name) => SETTINGS[name])).toMatch(
    /^PatchWidget\(study\)$/m,
  );
});

test("the code sets what was changed, as Python writes it", () => {
  const changed = {
    ...SETTINGS,
    selection: ["L4H0.z", "L1H1.q"],
    pair: -1,
    method: "atp_qk",
    names: { L4H0: 'the "mover"' },
    wide: true,
  };
  const code = toPython(study, [], (name) => changed[name]);
  expect(code).toContain(`PatchWidget(
    study,
    selection=["L4H0.z", "L1H1.q"],
    pair=-1,
    method="atp_qk",
    names={"L4H0": "the \\"mover\\""},
    wide=True,
)`);
});

function csv() {
  const [raw] = Object.values(grid("resid_pre", ["layer", "pos"], [5, 15], () => 0.5));
  const verified = new Map(
    Object.entries({ ...VERIFIED, "L1H1.q@3": VERIFIED["L4H0.q"] }).map(
      ([name, value]) => [name, readVerified(value, name)],
    ),
  );
  const grids = new Map([["resid_pre" as const, readGrid(raw, "grid")]]);
  const [header = "", ...rest] = written({ grids, verified });
  return rest.map((line) => {
    const fields = line.split(",");
    return Object.fromEntries(header.split(",").map((name, at) => [name, fields[at]]));
  });
}

test("the table has a line per cell, with what is known exactly", () => {
  const row = csv().find(({ node }) => node === "L2.resid_pre@10");
  expect(row).toMatchObject({
    kind: "resid_pre",
    layer: "2",
    head: "",
    pos: "10",
    method: "atp",
    estimate: "0.5",
    exact: "0.812",
  });
  expect(Number(row?.miss)).toBeCloseTo(0.122);
});

test("verified nodes without a cell have lines too, and spaces are kept by quotes", () => {
  const rows = csv();
  const finer = rows.find(({ node }) => node === "L1H1.q@3");
  const { estimate } = readVerified(VERIFIED["L4H0.q"], "finer");
  expect(finer).toMatchObject({
    kind: "q",
    layer: "1",
    head: "1",
    pos: "3",
    metric: study.metric.name,
    direction: "denoising",
    method: "atp",
    estimate: `${estimate}`,
    exact: "0.301",
  });
  expect(rows[2]).toMatchObject({ token: '" Mary"', metric: study.metric.name });
});

test("the miss of an estimate without a sign is that of the sizes", () => {
  const name = "L0H1.z";
  const raw = { estimate: 0.3, exact: -0.25, raw: -1, per_pair: [-0.25], halves: null };
  const verified = new Map(
    [name, `${name}@3`].map((node) => [
      node,
      readVerified({ ...raw, interval: null }, node),
    ]),
  );
  const entry = Object.values(grid("z", ["layer", "head"], [1, 2], () => 0.3))[0];
  const sized = readGrid({ ...(entry as object), signed: false }, "grid");
  const grids = new Map([["z" as const, sized]]);
  const [header = "", ...lines] = written({ grids, verified });
  const at = header.split(",").indexOf("miss");
  const misses = lines.map((line) => line.split(",")[at]).filter(Boolean);
  expect(misses).toHaveLength(2);
  for (const miss of misses) expect(Number(miss)).toBeCloseTo(0.05);
});

test.each([
  [true, "mean over pairs"],
  [false, "mean size over pairs"],
])("what an estimate is stands beside it: signed %s", (signed, is) => {
  const [raw] = Object.values(grid("z", ["layer", "head"], [1, 2], () => 0.25));
  const grids = new Map([["z" as const, readGrid({ ...(raw as object), signed }, "")]]);
  const known = { exact: 0.5, raw: 1, per_pair: [0.5], halves: null, interval: null };
  const verified = new Map(
    [0.25, null].map((estimate, at) => [
      `L0H1.z@${at}`,
      readVerified({ ...known, estimate }, ""),
    ]),
  );
  const [header = "", ...lines] = written({ grids, verified });
  const at = header.split(",").indexOf("estimate_is");
  // Two cells, a head at a position, and one without an estimate.
  expect(lines.map((line) => line.split(",")[at])).toEqual([is, is, is, ""]);
});

test("one's own values stand beside, with how far they are from what is known", () => {
  const [raw] = Object.values(grid("z", ["layer", "head"], [1, 3], () => 0.25));
  const grids = new Map([["z" as const, readGrid(raw, "grid")]]);
  const result = { estimate: 0.25, exact: 0.5, raw: 1, per_pair: [0.5], halves: null };
  const verified = new Map([
    ["L0H1.z", readVerified({ ...result, interval: null }, "")],
  ]);
  const mine = new Map([["z" as const, Float32Array.of(0.75, 0.75, Number.NaN)]]);
  const lines = written({ grids, verified, mine });
  const ends = lines.map((line) => line.split(",").slice(-2));
  expect(ends).toEqual([
    ["mine", "mine_miss"],
    ["0.75", "0.5"],
    ["0.75", "0.25"],
    ["", ""],
  ]);
});

test("the code names tensors of one's own, which only their owner has", () => {
  const settings = { ...SETTINGS, shown: "mine" } as const;
  expect(
    toPython(study, ["resid_pre", "z"], (name) => settings[name]),
  ).toContain(`PatchWidget(
    study,
    shown="mine",
    mine={"resid_pre": my_resid_pre, "z": my_z},  # tensors of your own
)`);
});
