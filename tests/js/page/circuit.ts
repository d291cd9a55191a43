/** Made-up paths and circuits, and what the kernel would answer about them. */

import type { FixtureHost } from "../../../js/host/fixture";
import type { Trait } from "../../../js/host/host";
import { MESSAGE_KINDS } from "../../../js/host/messages";
import { grid, NO_JOB, STUDY, seeded, TRAITS } from "./data";

type Traits = Record<Trait, unknown>;
type Counts = { n_layers: number; n_heads: number; n_kv_heads: number };

/** A value of its own for each path, the same at every visit. */
export function effectOf(path: string): number {
  let seed = 0;
  for (const letter of path) seed = Math.imul(seed, 31) + letter.charCodeAt(0);
  const noise = seeded(seed);
  noise();
  return 0.8 * (noise() - 0.5) ** 3 + 0.3 * (noise() - 0.5) ** 5;
}

function path(writer: string, reader: string, exact: number, source = "run") {
  const estimate = exact * 1.2 + 0.01;
  const interval = [exact - 0.02, exact + 0.03];
  return {
    [`${writer} -> ${reader}`]: { writer, reader, estimate, exact, interval, source },
  };
}

const NODES = ["L4H0.z", "L3H1.z", "L4H3.z"];
const nan = null; // JSON has none

const INTERACTIONS = {
  nodes: NODES,
  threshold: "An interaction counts from 10% of the largest of the three effects on.",
  sides: {
    denoising: {
      effects: [0.271, 0.188, -0.361],
      matrix: [
        [nan, -0.142, 0.012],
        [-0.142, nan, -0.064],
        [0.012, -0.064, nan],
      ],
    },
    noising: {
      effects: [0.113, 0.201, -0.244],
      matrix: [
        [nan, 0.173, 0.004],
        [0.173, nan, nan],
        [0.004, nan, nan],
      ],
    },
  },
  words: [
    ["", "OR-like (denoising -0.14, noising +0.17)", "additive"],
    ["OR-like (denoising -0.14, noising +0.17)", "", "of opposite signs, not additive"],
    ["additive", "of opposite signs, not additive", ""],
  ],
};

function repair() {
  const noise = seeded(9);
  const row = (layer: number) =>
    Array.from({ length: STUDY.n_heads }, (_, head) => {
      if (layer < 3 || (layer === 3 && head < 2)) return nan;
      if (layer === 4 && head === 6) return -0.14;
      return layer === 4 && head === 3 ? -0.06 : 0.04 * (noise() - 0.5);
    });
  const change = Array.from({ length: STUDY.n_layers }, (_, layer) => row(layer));
  const before = change.map((values) => values.map((_, head) => 0.3 - 0.1 * head));
  return {
    nodes: NODES,
    shape: [STUDY.n_layers, STUDY.n_heads],
    change,
    before,
    against: [
      { head: "L4H6.z", before: -0.3, change: -0.14, role: "backup" },
      { head: "L4H3.z", before: 0.02, change: -0.06, role: "negative head" },
    ],
    undone: 0.41,
    words:
      "L4H0.z + L3H1.z + L4H3.z: own direct effect +0.4120, effect +0.2430\nL4H6.z: -0.1400, backup",
  };
}

const STORY = {
  nodes: NODES,
  faithfulness: 0.834,
  minimality: { "L4H0.z": 0.31, "L3H1.z": 0.05, "L4H3.z": -0.02 },
  complement: 0.112,
  incompleteness: 0.204,
  words: "3 of 40 parts keep 0.834 of the work; the rest alone keeps 0.112.",
};

const PATHS = {
  ...path("embed", "L1H2.k", 0.08),
  ...path("L1H2", "L2H5.k", 0.12),
  ...path("L1.mlp", "L2H5.v", -0.04),
  ...path("L2H5", "L3H1.v", 0.21),
  ...path("L2H5", "L4H0.q", 0.09, "file"),
  ...path("L3H1", "L4H0.q", 0.31),
  ...path("L3H1", "L4H3.q", -0.17),
  ...path("L3H1", "L3.mlp", 0.03),
  ...path("L4H0", "final", 0.28),
  ...path("L4H3", "final", -0.36),
};

/** Estimates of heads, as far as they are no matter here. */
function heads(shape: readonly [layers: number, heads: number]) {
  return grid("z", ["layer", "head"], shape, (layer, head) => (head - layer) / 99);
}

const OPEN = { ...TRAITS, folds: ["row", "neurons"] };

/** Of paths, those of a circuit: made up from their names. */
function storyOf(paths: string[]) {
  const drops = paths.map((name) => [name, effectOf(name)] as const);
  const least = [...drops].sort(([, a], [, b]) => a - b).slice(0, 3);
  const named = least.map(([name, drop]) => `${name} ${drop.toFixed(3)}`);
  return {
    paths,
    faithfulness: 0.831,
    minimality: Object.fromEntries(drops),
    complement: 0.092,
    incompleteness: 0.151,
    words:
      `${paths.length} of 1,234 paths keep 0.831 of the work; the rest alone keeps 0.092\n` +
      `least needed: ${named.join(", ")}`,
  };
}

export const CIRCUIT = {
  paths: PATHS,
  interactions: INTERACTIONS,
  repair: repair(),
  story: STORY,
  path_story: storyOf(Object.keys(PATHS).slice(0, -2)),
};

export function circuitGqa(): Traits {
  const study = { ...STUDY, n_kv_heads: 2 };
  const paths = {
    ...path("L1H2", "L3H0.k", 0.12),
    ...path("embed", "L1H6.q", 0.05),
    ...path("L1H6", "L3H1.v", -0.2),
    ...path("L3H1", "L4H0.q", 0.31),
    ...path("L3H5", "final", 0.11),
  };
  const circuit = { paths, path_story: storyOf(Object.keys(paths)) };
  return { ...OPEN, study, circuit, selection: ["L3H1.z", "L3H1.k"] };
}

export function circuitOne(): Traits {
  const study = { ...STUDY, n_layers: 1, n_heads: 2, n_kv_heads: 2 };
  const circuit = { paths: path("embed", "L0H1.q", 0.4) };
  return {
    ...OPEN,
    study,
    circuit,
    selection: ["L0H1.z"],
    grids: heads([1, 2]),
    verified: {},
  };
}

/** Deep and wide, with names that are markup, and paths at positions. */
export function circuitLarge(): Traits {
  const study = { ...STUDY, n_layers: 48, n_heads: 64, n_kv_heads: 64 };
  const noise = seeded(2);
  const one = () => Math.floor(64 * noise());
  const paths = Array.from({ length: 40 }, (_, at) => {
    const layer = Math.floor(at / 2);
    const exact = noise() - 0.4;
    return path(`L${layer}H${one()}`, `L${layer + 5}H${one()}.${"qkv"[at % 3]}`, exact);
  });
  const placed = [
    path("L30H11@10", "L40H63.k", 0.2),
    path("L30H12@14", "L40H63.q", -0.3),
    path("L9.mlp@10 + L9H3@10", "final", 0.2),
    path("L45H1", "L47H1.q", Number.NaN),
    path("<b>newer</b>", "<i>end</i>", 0.2),
  ];
  const names = { L40H63: "<b>a name as long as a name can be, or so</b>" };
  return {
    ...OPEN,
    study,
    names,
    grids: heads([48, 64]),
    verified: {},
    selection: ["L40H63.z", "L30H11.z"],
    circuit: { paths: Object.assign({}, ...paths, ...placed) },
  };
}

export function circuit(): Traits {
  return { ...OPEN, circuit: CIRCUIT, selection: NODES };
}

export function circuitEmpty(): Traits {
  return { ...OPEN, selection: [] };
}

export function circuitRefused(): Traits {
  return { ...OPEN, circuit: { paths: 3, story: {} } };
}

export const REFUSAL =
  "L4 has a norm after its attention: no part of the stream is one head's own";

type Request = Record<string, unknown>;
type Answered = { payload: unknown; buffers: ArrayBufferView[] };

/** Undefined for what is about something else; text for a refusal. */
export async function circuitAnswer(
  host: FixtureHost,
  request: Request,
): Promise<Answered | string | undefined> {
  const counts = host.get("study") as Counts; // set by this page
  const plain = (payload: unknown) => ({ payload, buffers: [] });
  switch (request.kind) {
    case MESSAGE_KINDS.moduleGet:
      return builtModule();
    case MESSAGE_KINDS.pathsGet:
      return plain(arrivals(String(request.node), counts));
    case MESSAGE_KINDS.pathsStart:
      return run(host, request.paths as string[]); // sent by this page
    case MESSAGE_KINDS.circuitStart:
      return start(host, String(request.what));
    case MESSAGE_KINDS.circuitJson:
      return plain({ text: JSON.stringify(host.get("circuit")) });
    case MESSAGE_KINDS.circuitLoad:
      return "it is of another model: made-up-5l-8h was saved, this is another";
  }
  return undefined;
}

/** As the package would send it. */
async function builtModule(): Promise<Answered> {
  const [code, css] = await Promise.all(
    ["js", "css"].map(async (ending) => {
      const found = await fetch(`../../../build/page/circuit.${ending}`);
      return found.text();
    }),
  );
  return { payload: { css }, buffers: [new TextEncoder().encode(code)] };
}

/** Every path of a node, largest first. */
export function arrivals(node: string, counts: Counts) {
  const [, layer = "0", head] = /^L(\d+)(?:H(\d+))?/.exec(node) ?? [];
  const at = Number(layer);
  const writers = ["embed", ...headsIn(0, at, counts.n_heads), ...mlps(0, at)];
  const group = counts.n_heads / counts.n_kv_heads;
  const into = (port: string) => {
    const own = port === "q" ? Number(head) : Math.floor(Number(head) / group);
    const reader = head === undefined ? node : `L${layer}H${own}.${port}`;
    return ranked(writers.map((end) => [end, `${end} -> ${reader}`]));
  };
  const later = headsIn(at + 1, counts.n_layers, counts.n_heads);
  const ports = later.flatMap((name) =>
    ["q", "k", "v"].map((port) => `${name}.${port}`),
  );
  const readers = [...ports, ...mlps(at + 1, counts.n_layers), "final"];
  const names = head === undefined ? ["mlp"] : ["q", "k", "v"];
  return {
    node,
    method: "atp",
    into: Object.fromEntries(names.map((port) => [port, into(port)])),
    out: ranked(readers.map((end) => [end, `${node} -> ${end}`])),
    cost: { forwards: 2, backwards: 1 },
  };
}

function headsIn(from: number, to: number, count: number): string[] {
  return range(from, to).flatMap((layer) =>
    range(0, count).map((head) => `L${layer}H${head}`),
  );
}

function mlps(from: number, to: number): string[] {
  return range(from, to).map((layer) => `L${layer}.mlp`);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
}

function ranked(ends: [end: string, path: string][]) {
  return ends
    .map(([end, path]) => ({ end, path, value: effectOf(path) }))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
}

const RUN_MS = 700;
let job = 500;

function run(host: FixtureHost, paths: string[]): Answered {
  const label = `path patches: ${paths[0]}`;
  later(host, label, paths.length, () => {
    const known = Object(host.get("circuit"));
    const found = paths.map((name) => {
      const [writer = "", reader = ""] = name.split(" -> ");
      return path(writer, reader, 0.9 * effectOf(name));
    });
    return { ...known, paths: Object.assign({}, known.paths, ...found) };
  });
  return { payload: {}, buffers: [] };
}

function start(host: FixtureHost, what: string): Answered | string {
  const picks = host.get("selection") as string[]; // set by this page
  if (what === "interactions" && picks.length < 2) {
    return "L3H1.z is one node: an interaction is that of two or more";
  }
  const found = () => {
    const known = Object(host.get("circuit"));
    if (what === "path_story") return storyOf(Object.keys(known.paths));
    return CIRCUIT[what as "interactions" | "repair" | "story"]; // as above
  };
  later(host, what, 1, () => ({ ...Object(host.get("circuit")), [what]: found() }));
  return { payload: {}, buffers: [] };
}

function later(host: FixtureHost, label: string, total: number, find: () => object) {
  job += 1;
  const now = { ...NO_JOB, id: job, label, total };
  host.receive("job", { ...now, state: "running" });
  setTimeout(() => {
    host.receive("circuit", find());
    host.receive("job", { ...now, state: "done", done: total });
  }, RUN_MS);
}
