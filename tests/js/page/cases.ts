/** Odd states that the picture must survive, by the name in the page's address. */

import type { Trait } from "../../../js/host/host";
import {
  circuit,
  circuitEmpty,
  circuitGqa,
  circuitLarge,
  circuitOne,
  circuitRefused,
} from "./circuit";
import {
  grid,
  makeGrids,
  NO_JOB,
  REPORT,
  STUDY,
  seeded,
  TRAITS,
  verified,
} from "./data";
import { gpt2 } from "./gpt2";

type Traits = Record<Trait, unknown>;

const ODD_TOKENS = [
  "<script>alert(1)</script>",
  "\n\n",
  "\u200b",
  " \u05e9\u05dc\u05d5\u05dd",
  "\t",
  "",
  "\u202eabc",
  " ",
  "&amp;",
  " \u4e2d\u6587",
];

export function usual(): Traits {
  return TRAITS;
}

function oddTokens(): Traits {
  const clean = STUDY.pairs[0]?.clean.map((token, index) => ODD_TOKENS[index] ?? token);
  const corrupted = clean?.map((token, index) => (index === 1 ? "\n" : token));
  const pairs = [{ clean, corrupted, answers: ["<b>right</b>", "\n"] }];
  const metric = { name: "logit_diff", clean: [1], corrupted: [-1] };
  return { ...TRAITS, study: { ...STUDY, pairs, metric } };
}

function tiny(): Traits {
  const pairs = [{ clean: ["a"], corrupted: ["b"], answers: [] }];
  const size = { n_layers: 1, n_heads: 1, n_kv_heads: 1, n_pos: 1 };
  const metric = { name: "prob", clean: [0.5], corrupted: [0.25] };
  const labels = {};
  const more = { pairs, metric, labels, answer_position: 0 };
  return {
    ...TRAITS,
    study: { ...STUDY, ...size, ...more },
    grids: {
      ...grid("resid_pre", ["layer", "pos"], [1, 1], () => 1),
      ...grid("z", ["layer", "head"], [1, 1], () => -0.5),
    },
    verified: {},
    selection: [],
  };
}

/** A head that has one token to attend to. */
function oneToken(): Traits {
  const { study, ...rest } = tiny();
  const size = { n_layers: 2, n_heads: 2, n_kv_heads: 2 };
  const selection = ["L1H0.z", "L1H1.z"];
  return { ...rest, study: { ...(study as object), ...size }, selection }; // a record
}

function large(): Traits {
  const layers = 48;
  const heads = 64;
  const tokens = 60;
  const clean = Array.from({ length: tokens }, (_, index) => ` word${index}`);
  const pairs = [{ clean, corrupted: clean.with(30, " other"), answers: [" a", " b"] }];
  const size = { n_layers: layers, n_heads: heads, n_kv_heads: 8, n_pos: tokens };
  const wave = (row: number, column: number) =>
    Math.sin(row / 5) * Math.cos(column / 7);
  const byPosition = ["resid_pre", "attn_out", "mlp_out"].map((kind) =>
    grid(kind, ["layer", "pos"], [layers, tokens], wave),
  );
  const byHead = ["z", "q", "k", "v", "pattern"].map((kind) =>
    grid(kind, ["layer", "head"], [layers, "kv".includes(kind) ? 8 : heads], wave),
  );
  const metric = { name: "logit_diff", clean: [4], corrupted: [-4] };
  const more = { pairs, metric, labels: { END: 59 }, answer_position: 59 };
  return {
    ...TRAITS,
    study: { ...STUDY, ...size, ...more },
    grids: Object.assign({}, ...byPosition, ...byHead),
    verified: {},
    selection: ["L20H3.k"],
  };
}

/** What the benchmark asks: 48 layers of 64 heads in five facets, and 512 tokens. */
function bench(): Traits {
  const { study, ...traits } = large();
  const tokens = 512;
  const clean = Array.from({ length: tokens }, (_, index) => ` word${index}`);
  const pairs = [
    { clean, corrupted: clean.with(300, " other"), answers: [" a", " b"] },
  ];
  const more = { n_pos: tokens, pairs, labels: {}, answer_position: tokens - 1 };
  const noise = seeded(3);
  const names = Array.from({ length: 300 }, (_, index) => {
    return `L${index % 48}H${(index * 7) % 64}.z`;
  });
  const verified = names.map((name) => {
    const exact = noise() - 0.5;
    const rest = { raw: exact, per_pair: [exact], halves: null, interval: null };
    return [name, { estimate: exact * 1.2, exact, ...rest }];
  });
  const grids = Object.entries(traits.grids as object).filter(
    ([, grid]) => grid.axes[1] === "head",
  );
  return {
    ...traits,
    study: { ...(study as object), ...more },
    grids: Object.fromEntries(grids),
    verified: Object.fromEntries(verified),
    selection: ["L20H3.z"],
  };
}

function long(): Traits {
  const tokens = 400;
  const clean = Array.from({ length: tokens }, (_, index) => ` word${index}`);
  const pairs = [
    { clean, corrupted: clean.with(300, " other"), answers: [" a", " b"] },
  ];
  const size = { n_layers: 3, n_heads: 4, n_kv_heads: 4, n_pos: tokens };
  const metric = { name: "logit_diff", clean: [4], corrupted: [-4] };
  const more = { pairs, metric, labels: { S2: 300, END: 399 }, answer_position: 399 };
  const wave = (row: number, column: number) => Math.sin(row + column / 20);
  return {
    ...TRAITS,
    study: { ...STUDY, ...size, ...more },
    grids: {
      ...grid("resid_pre", ["layer", "pos"], [3, tokens], wave),
      ...grid("z", ["layer", "head"], [3, 4], wave),
    },
    verified: {},
    selection: ["L1H3.z"],
  };
}

/** Twelve heads of sixty tokens: what one looks through for a circuit. */
function heads(): Traits {
  const selection = Array.from(
    { length: 12 },
    (_, at) => `L${20 + (at % 4)}H${at * 5}.z`,
  );
  const names = { L20H0: "name mover", L21H5: "duplicate token <b>0</b>" };
  return { ...large(), selection, names };
}

function veryLong(): Traits {
  const tokens = 2000;
  const clean = Array.from({ length: tokens }, (_, index) => ` w${index}`);
  const pairs = [{ clean, corrupted: clean.with(1500, " other"), answers: [] }];
  const size = { n_layers: 3, n_heads: 4, n_kv_heads: 4, n_pos: tokens };
  const metric = { name: "logit_diff", clean: [4], corrupted: [-4] };
  const more = { pairs, metric, labels: { END: 1999 }, answer_position: 1999 };
  return {
    ...TRAITS,
    study: { ...STUDY, ...size, ...more },
    grids: grid("z", ["layer", "head"], [3, 4], (row, column) => row - column),
    verified: {},
    selection: ["L1H3.z", "L2H0.z"],
  };
}

function missing(): Traits {
  const value = (row: number, column: number) =>
    (row + column) % 3 === 0 ? Number.NaN : (row - column) / 10;
  return {
    ...TRAITS,
    study: {
      ...STUDY,
      notice: "This model is not covered: the slower hook engine runs.",
    },
    grids: {
      ...grid("resid_pre", ["layer", "pos"], [5, 15], value),
      ...grid("z", ["layer", "head"], [5, 8], value),
      "atp/broken": { kind: "z", axes: ["layer"], shape: [3] },
    },
  };
}

function failed(): Traits {
  const message =
    "the metric is NaN on pair 3\n  'When John and Mary <b>went</b>'\nCheck the model.";
  const error = { type: "ValueError", message };
  const job = { ...NO_JOB, id: 3, state: "failed", label: "exact patches", error };
  const selection = ["L4H0.z", "L1H1.z", "nonsense"];
  return { ...TRAITS, job, selection };
}

function zero(): Traits {
  const metric = { name: "logit_diff", clean: [1, 1], corrupted: [1, 1] };
  return {
    ...TRAITS,
    study: { ...STUDY, scale: null, metric, pairs: STUDY.pairs.slice(0, 2) },
    grids: {
      ...grid("resid_pre", ["layer", "pos"], [5, 15], () => 0),
      ...grid("z", ["layer", "head"], [5, 8], () => 0),
    },
    verified: {},
    selection: [],
  };
}

/** A model of 24 layers and 32 heads: 3,072 nodes, of which one in three is verified. */
function many(): Traits {
  const [layers, heads] = [24, 32];
  const noise = seeded(3);
  const bell = () => noise() + noise() + noise() - 1.5;
  const kinds = ["z", "q", "pattern", "v"];
  const results: Record<string, unknown> = {};
  const grids = kinds.map((kind) =>
    grid(kind, ["layer", "head"], [layers, heads], (row, column) => {
      const estimate = bell() ** 3;
      if (noise() < 1 / 3) {
        const exact = 0.8 * estimate + 0.1 * bell() ** 3;
        results[`L${row}H${column}.${kind}`] = verified(estimate, exact, 0.5);
      }
      return estimate;
    }),
  );
  const size = { n_layers: layers, n_heads: heads, n_kv_heads: heads };
  return {
    ...TRAITS,
    study: { ...STUDY, ...size },
    grids: Object.assign({}, ...grids),
    verified: results,
    selection: Object.keys(results).slice(0, 3),
  };
}

/** Estimates without a sign, and single positions of heads among what is verified. */
function sizes(): Traits {
  const grids = Object.entries(makeGrids()).map(([key, entry]) => {
    const isSized = entry.axes[1] === "head";
    const data = new Float32Array(entry.data.buffer).map((value) => Math.abs(value));
    const sized = { ...entry, method: "graddrop", signed: false, data };
    return [key, isSized ? sized : entry];
  });
  return {
    ...TRAITS,
    grids: Object.fromEntries(grids),
    verified: {
      "L4H3.z": verified(0.332, -0.361, 0.5),
      "L3H1.z": { ...verified(0.425, 0.188, 0.5), interval: [-0.05, 0.4] },
      "L4H0.q@14": verified(0.35, 0.3, 0.5),
      "L4H0.pattern@14,2": verified(0.3, 0.28, 0.5),
      "L4H1.z": verified(null, 0.1, 0.5),
    },
    method: "graddrop",
    selection: ["L4H3.z"],
  };
}

function unverified(): Traits {
  const report = { ...REPORT.z, verified: 0, bound: null };
  const figures = { n: 0, pearson: null, slope: null, spearman: null, recall: {} };
  const why = "no random sets were run: verify all to get one";
  return {
    ...TRAITS,
    verified: {},
    selection: [],
    kind: "z",
    report: { z: { ...report, all: figures, layers: {}, without_bound: why } },
  };
}

/** GradDrop for the heads, of sizes only; AtP where it does not give the kind. */
function mixed(): Traits {
  const heads = ["z", "q", "k", "v"].map((kind, index) => {
    const [[key, entry] = []] = Object.entries(
      grid(
        kind,
        ["layer", "head"],
        [5, 8],
        (row, column) =>
          Math.abs(Math.sin((row + 1) * (column + 2) * (index + 1))) ** 4,
      ),
    );
    return { [`${key}`]: { ...entry, method: "graddrop", signed: false } };
  });
  const grids = Object.assign({}, TRAITS.grids, ...heads);
  return { ...TRAITS, grids, method: "graddrop" };
}

/** A hundred layers; beside it, a single one. */
function layers(count: number): () => Traits {
  return () => {
    const wave = (row: number, column: number) =>
      Math.sin((row + 5) / 9) * Math.cos(column);
    const verified = { "L0H2.z": Object(TRAITS.verified)["L4H0.z"] };
    return {
      ...TRAITS,
      study: { ...STUDY, n_layers: count },
      grids: {
        ...grid("resid_pre", ["layer", "pos"], [count, 15], wave),
        ...grid("mlp_out", ["layer", "pos"], [count, 15], wave),
        ...grid("z", ["layer", "head"], [count, 8], wave),
        ...grid("q", ["layer", "head"], [count, 8], wave),
      },
      verified,
      selection: ["L0H2.z"],
    };
  };
}

/** A sweep by hand with a mistake in one layer, half finished, and the heads' outputs. */
function mine(): Traits {
  const noise = seeded(5);
  const bytes = (kind: string, change: (value: number, at: number) => number) => {
    const { shape, data } = Object(TRAITS.grids)[`atp/${kind}`];
    const values = new Float32Array(data.buffer).map(change);
    return { shape, data: new DataView(values.buffer) };
  };
  const sweep = bytes("resid_pre", (value, at) => {
    if (at >= 4 * 15 + 8) return Number.NaN;
    const close = value + 0.02 * (noise() - 0.5);
    return Math.floor(at / 15) === 2 ? 0.5 * close : close;
  });
  return {
    ...TRAITS,
    mine: { resid_pre: sweep, z: bytes("z", (value) => 0.9 * value) },
    shown: "mine_miss",
    selection: ["L4H0.z", "L2.resid_pre@10"],
  };
}

/** Two of three are found, and something else; one hint is of two lines. */
function question(): Traits {
  const words =
    "L3H1.z (+0.188) is one of them. L1H1.z has an exact effect of +0.004, number 31 of " +
    "40: too small. 2 more are to be found.";
  return {
    ...TRAITS,
    selection: ["L3H1.z", "L4H0.q"],
    question: {
      id: 1,
      prompt:
        "Which three heads matter most for what they write?\nPick them, and check.",
      hints: [
        "Every <b>head</b> has one cell in the map of outputs.",
        "Sort the ranking by the exact effect.\nVerify the top 10 first.",
      ],
      reply: { right: false, words, picks: ["L3H1.z", "L1H1.z"] },
      solution: null,
    },
  };
}

export const CASES: Record<string, () => Traits> = {
  usual,
  gpt2,
  running: () => ({
    ...TRAITS,
    selection: ["L4H0.z", "L1H1.z"],
    job: {
      ...NO_JOB,
      id: 1,
      state: "running",
      done: 3,
      total: 12,
      label: "exact patches",
    },
  }),
  exact: () => ({ ...TRAITS, shown: "exact", pair: 1 }),
  miss: () => ({ ...TRAITS, shown: "miss" }),
  known: () => ({ ...TRAITS, shown: "known" }),
  mine,
  question,
  mixed,
  deep: layers(100),
  flat: layers(1),
  tokens: oddTokens,
  tiny,
  oneToken,
  large,
  bench,
  long,
  heads,
  veryLong,
  missing,
  failed,
  zero,
  focus: () => ({ ...TRAITS, kind: "z" }),
  many,
  sizes,
  unverified,
  circuit,
  circuitEmpty,
  circuitGqa,
  circuitLarge,
  circuitOne,
  circuitRefused,
  empty: () => ({ ...TRAITS, study: {}, grids: {}, verified: {}, selection: [] }),
};
