/** How estimates agree with what is verified, and what is not known: the kernel's figures. */

import { isKind, type Kind } from "./node";
import {
  fields,
  list,
  measured,
  nullable,
  optional,
  type Reader,
  table,
  text,
  whole,
} from "./shape";

/** Agreement on some verified nodes; null where a figure is not defined. */
export interface Figures {
  n: number;
  pearson: number | null;
  slope: number | null;
  spearman: number | null;
  /** By k, the share of the k largest effects among the k largest estimates. */
  recall: { k: number; share: number | null }[];
}

/** On the largest effect among nodes that are not verified. */
export interface Bound {
  value: number;
  confidence: number;
  /** The node that could be that large. */
  node: string;
  unverified: number;
  words: string;
  assumption: string;
  /** All kinds among whose nodes it was drawn. */
  kinds: string[];
}

export interface KindReport {
  method: string;
  /** Nodes of the kind, those among them that cannot matter, and those verified. */
  total: number;
  idle: number;
  verified: number;
  all: Figures;
  layers: Map<number, Figures>;
  bound: Bound | null;
  /** Why there is no bound; empty where there is one. */
  withoutBound: string;
}

export type Report = ReadonlyMap<Kind, KindReport>;

/** How many of the nodes that a bound is about have been verified since. */
export function verifiedSince({ kinds, unverified }: Bound, report: Report): number {
  const reports = kinds.map((kind) => isKind(kind) && report.get(kind));
  if (reports.length === 0) return 0;
  let now = 0;
  for (const one of reports) if (one) now += one.total - one.idle - one.verified;
  return Math.max(0, unverified - now);
}

const figure: Reader<number | null> = nullable(measured);

const readRecall: Reader<Figures["recall"]> = (value, where) =>
  [...table(figure)(value, where)].map(([k, share]) => ({ k: Number(k), share }));

const readFigures = fields<Figures>({
  n: whole,
  pearson: figure,
  slope: figure,
  spearman: figure,
  recall: optional(readRecall, []),
});

const readLayers: Reader<KindReport["layers"]> = (value, where) =>
  new Map(
    [...table(readFigures)(value, where)].map(([layer, one]) => [Number(layer), one]),
  );

export const readKindReport = fields<KindReport>({
  method: text,
  total: whole,
  idle: whole,
  verified: whole,
  all: readFigures,
  layers: optional(readLayers, new Map()),
  bound: nullable(
    fields<Bound>({
      value: measured,
      confidence: measured,
      node: text,
      unverified: whole,
      words: text,
      assumption: text,
      kinds: optional(list(text), []),
    }),
  ),
  withoutBound: optional(text, ""),
});
