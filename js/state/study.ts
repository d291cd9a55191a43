/** What is being studied, as the kernel describes it once per study. */

import { KINDS, type Kind } from "./node";
import { list, measured, nullable, oneOf, record, table, text, whole } from "./shape";

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

/** Null before the kernel has set a study. */
export function readStudy(value: unknown): Study | null {
  if (value == null) return null;
  const raw = record(value, "study");
  if (Object.keys(raw).length === 0) return null;
  return {
    model: text(raw.model, "study.model"),
    layers: whole(raw.n_layers, "study.n_layers"),
    heads: whole(raw.n_heads, "study.n_heads"),
    kvHeads: whole(raw.n_kv_heads, "study.n_kv_heads"),
    positions: whole(raw.n_pos, "study.n_pos"),
    direction: oneOf(...DIRECTIONS)(raw.direction, "study.direction"),
    directions: list(oneOf(...DIRECTIONS))(raw.directions ?? [], "study.directions"),
    methods: list(readMethod)(raw.methods ?? [], "study.methods"),
    metric: readMetric(raw.metric),
    scale: nullable(measured)(raw.scale, "study.scale"),
    pairs: list(readPair)(raw.pairs, "study.pairs"),
    names: readNames(raw.labels),
    answerPosition: whole(raw.answer_position, "study.answer_position"),
    notice: nullable(text)(raw.notice, "study.notice"),
  };
}

function readMethod(value: unknown, where: string): Method {
  const raw = record(value, where);
  return {
    name: text(raw.name, `${where}.name`),
    label: text(raw.label, `${where}.label`),
    kinds: list(oneOf(...KINDS))(raw.kinds, `${where}.kinds`),
  };
}

function readMetric(value: unknown): Metric {
  const raw = record(value, "study.metric");
  return {
    name: text(raw.name, "study.metric.name"),
    clean: list(measured)(raw.clean, "study.metric.clean"),
    corrupted: list(measured)(raw.corrupted, "study.metric.corrupted"),
  };
}

function readPair(value: unknown, where: string): Pair {
  const raw = record(value, where);
  return {
    clean: list(text)(raw.clean, `${where}.clean`),
    corrupted: list(text)(raw.corrupted, `${where}.corrupted`),
    answers: list(text)(raw.answers ?? [], `${where}.answers`),
  };
}

function readNames(value: unknown): Map<number, string> {
  const names = new Map<number, string>();
  for (const [name, position] of table(whole)(value ?? {}, "study.labels")) {
    const other = names.get(position);
    names.set(position, other === undefined ? name : `${other}/${name}`);
  }
  return names;
}
