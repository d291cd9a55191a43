/** Fixed, made-up data in the manner of indirect objects: no number here is measured. */

import type { Trait } from "../../../js/host/host";
import { KINDS } from "../../../js/state/node";

export const LAYERS = 5;
export const HEADS = 8;
export const TOKENS = 15;

const NAMES = [
  ["Mary", "John"],
  ["Tom", "James"],
  ["Dan", "Sid"],
  ["Martin", "Amy"],
] as const;

/** A small generator with a fixed seed, so that every visit draws the same picture. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function prompt(io: string, s1: string, s2: string): string[] {
  const words = ["When", io, "and", s1, "went", "to", "the", "shops", ",", s2];
  const rest = ["gave", "the", "bag", "to"];
  return [
    "<|endoftext|>",
    ...words.map((word, index) => (index === 0 || word === "," ? word : ` ${word}`)),
    ...rest.map((word) => ` ${word}`),
  ];
}

const PAIRS = NAMES.flatMap(([a, b]) => [
  { clean: prompt(a, b, b), corrupted: prompt(a, b, a), answers: [` ${a}`, ` ${b}`] },
  { clean: prompt(a, b, a), corrupted: prompt(a, b, b), answers: [` ${b}`, ` ${a}`] },
]);

export const STUDY = {
  model: "made-up-5l-8h",
  n_layers: LAYERS,
  n_heads: HEADS,
  n_kv_heads: HEADS,
  n_pos: TOKENS,
  direction: "denoising",
  directions: ["denoising", "noising"],
  methods: [
    { name: "atp", label: "AtP", kinds: [...KINDS] },
    { name: "atp_qk", label: "AtP, QK fix", kinds: [...KINDS] },
    { name: "graddrop", label: "GradDrop", kinds: ["z", "q", "k", "v", "pattern"] },
  ],
  metric: {
    name: "logit_diff",
    clean: [3.9, 3.4, 4.1, 3.2, 3.8, 3.5, 4.4, 3.0],
    corrupted: [-3.7, -3.3, -4.0, -3.4, -3.9, -3.1, -4.2, -3.2],
  },
  scale: 7.26,
  pairs: PAIRS,
  labels: { IO: 2, S1: 4, S2: 10, END: 14 },
  answer_position: 14,
  notice: null as string | null,
};

type Shape = readonly [rows: number, columns: number];

export function grid(
  kind: string,
  axes: string[],
  shape: Shape,
  value: (row: number, column: number) => number,
) {
  const [rows, columns] = shape;
  const data = Float32Array.from({ length: rows * columns }, (_, index) =>
    value(Math.floor(index / columns), index % columns),
  );
  const entry = { kind, by: null, method: "atp", signed: true, axes, shape };
  const spread = Float32Array.from(
    [-0.5, 0.5, -0.2, 0.2].flatMap((width) =>
      [...data].map((mean) => mean + width * (Math.abs(mean) + 0.01)),
    ),
  );
  const bytes = {
    data: new DataView(data.buffer),
    spread: new DataView(spread.buffer),
  };
  return { [`atp/${kind}`]: { ...entry, ...bytes } };
}

const BY_POSITION = ["layer", "pos"];
const BY_HEAD = ["layer", "head"];

/** The name at S2 matters early, then what END has read from it. */
function residual(layer: number, position: number, noise: () => number): number {
  const done = layer / (LAYERS - 1);
  if (position === 10) return 1.05 * (1 - done ** 1.5) + 0.03 * noise();
  if (position === 14) return 0.98 * done ** 2 + 0.02 * noise();
  if (position === 11) return 0.12 * Math.sin(layer) * noise();
  return position > 10 ? 0.02 * (noise() - 0.5) : 0;
}

export function makeGrids() {
  const noise = seeded(7);
  const small = () => 0.05 * (noise() - 0.5);
  const peaks = new Map([
    ["z3.1", 0.42],
    ["z4.0", 0.31],
    ["z4.6", 0.22],
    ["z2.5", 0.27],
    ["z4.3", -0.34],
    ["q4.0", 0.35],
    ["q4.6", 0.2],
    ["k1.2", 0.16],
    ["v2.5", 0.3],
    ["v4.3", -0.11],
    ["pattern4.0", 0.37],
    ["pattern2.5", 0.12],
  ]);
  const heads = (kind: string) =>
    grid(kind, BY_HEAD, [LAYERS, HEADS], (row, column) => {
      return (peaks.get(`${kind}${row}.${column}`) ?? 0) + small();
    });
  const positions = (kind: string, share: number) =>
    grid(kind, BY_POSITION, [LAYERS, TOKENS], (row, column) => {
      return share * residual(row, column, noise);
    });
  return {
    ...positions("resid_pre", 1),
    ...positions("attn_out", 0.35),
    ...positions("mlp_out", -0.2),
    ...heads("z"),
    ...heads("q"),
    ...heads("k"),
    ...heads("v"),
    ...heads("pattern"),
  };
}

export function verified(estimate: number | null, exact: number, rise: number) {
  const noise = seeded(Math.round(exact * 1e4));
  return {
    estimate,
    exact,
    raw: exact * STUDY.scale,
    per_pair: PAIRS.map(() => exact + 0.3 * (noise() - 0.5) * Math.abs(exact)),
    halves: [exact * rise, exact * (1 - rise)],
    interval: [exact - 0.1 * Math.abs(exact), exact + 0.1 * Math.abs(exact)],
  };
}

export const VERIFIED = {
  "L4H0.z": verified(0.318, 0.271, 0.8),
  "L3H1.z": verified(0.425, 0.188, 0.35),
  "L4H3.z": verified(-0.332, -0.361, 0.5),
  "L2.resid_pre@10": verified(0.69, 0.812, 0.6),
  "L4H0.q": verified(0.352, 0.301, 0.7),
};

const FIGURES = {
  n: 3,
  pearson: 0.91,
  slope: 0.87,
  spearman: 0.5,
  recall: { "1": 1, "5": null },
};

export const REPORT = {
  z: {
    method: "atp",
    total: LAYERS * HEADS,
    idle: 0,
    verified: 3,
    all: FIGURES,
    layers: { "3": { ...FIGURES, n: 1, pearson: null, slope: null, spearman: null } },
    bound: {
      value: 0.12,
      confidence: 0.9,
      node: "L2H5.z",
      unverified: 37,
      words:
        "with 90% confidence no effect among the 37 unverified nodes is larger than 0.1200",
      assumption: "It takes effects as additive.",
    },
    without_bound: "",
  },
};

export const NO_JOB = {
  id: 0,
  state: "idle",
  done: 0,
  total: 0,
  label: "",
  error: null as { type: string; message: string } | null,
};

export const TRAITS: Record<Trait, unknown> = {
  study: STUDY,
  grids: makeGrids(),
  verified: VERIFIED,
  job: NO_JOB,
  selection: ["L4H0.z", "L3H1.z", "L4H3.z", "L2.resid_pre@10"],
  shown: "estimate",
  pair: -1,
  method: "atp",
  direction: "denoising",
  kind: "",
  names: { L4H0: "name mover" },
  folds: ["row", "neurons", "circuit"],
  wide: false,
  report: REPORT,
  mine: {},
  question: {},
  circuit: {},
};
