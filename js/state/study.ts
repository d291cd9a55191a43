/** What is being studied, as the kernel describes it once per study. */

import { KINDS, type Kind } from "./node";
import {
  fields,
  list,
  measured,
  nullable,
  oneOf,
  optional,
  record,
  table,
  text,
  whole,
} from "./shape";

export interface Pair {
  clean: string[];
  corrupted: string[];
  /** The right answer, then the wrong one; fewer where the metric has none. */
  answers: string[];
}

export interface Metric {
  name: string;
  /** One value per pair. */
  clean: number[];
  corrupted: number[];
}

/** A way of estimating, and the kinds that it gives in this model. */
export interface Method {
  name: string;
  label: string;
  kinds: Kind[];
}

export const DIRECTIONS = ["denoising", "noising"] as const;
export type Direction = (typeof DIRECTIONS)[number];

export interface Study {
  model: string;
  layers: number;
  heads: number;
  kvHeads: number;
  positions: number;
  direction: Direction;
  /** Those that can be chosen: an ablation has only one. */
  directions: Direction[];
  methods: Method[];
  metric: Metric;
  /** Null where clean and corrupted agree on the metric: effects are then raw. */
  scale: number | null;
  pairs: Pair[];
  /** Names of positions; several may name the same one. */
  names: Map<number, string>;
  answerPosition: number;
  notice: string | null;
}

const texts = list(text);

/** As it travels, where the page has other names for it. */
type Sent = Omit<Study, "layers" | "heads" | "kvHeads" | "positions" | "names"> & {
  nLayers: number;
  nHeads: number;
  nKvHeads: number;
  nPos: number;
  labels: Study["names"];
};

const readSent = fields<Sent>({
  model: text,
  nLayers: whole,
  nHeads: whole,
  nKvHeads: whole,
  nPos: whole,
  direction: oneOf(...DIRECTIONS),
  directions: optional(list(oneOf(...DIRECTIONS)), []),
  methods: optional(
    list(fields<Method>({ name: text, label: text, kinds: list(oneOf(...KINDS)) })),
    [],
  ),
  metric: fields<Metric>({
    name: text,
    clean: list(measured),
    corrupted: list(measured),
  }),
  scale: nullable(measured),
  pairs: list(
    fields<Pair>({ clean: texts, corrupted: texts, answers: optional(texts, []) }),
  ),
  labels: optional(readNames, new Map()),
  answerPosition: whole,
  notice: nullable(text),
});

/** Null before the kernel has set a study. */
export function readStudy(value: unknown): Study | null {
  if (value == null) return null;
  const raw = record(value, "study");
  if (Object.keys(raw).length === 0) return null;
  const { nLayers, nHeads, nKvHeads, nPos, labels, ...study } = readSent(raw, "study");
  return {
    ...study,
    layers: nLayers,
    heads: nHeads,
    kvHeads: nKvHeads,
    positions: nPos,
    names: labels,
  };
}

function readNames(value: unknown, where: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const [name, position] of table(whole)(value, where)) {
    const other = names.get(position);
    names.set(position, other === undefined ? name : `${other}/${name}`);
  }
  return names;
}
