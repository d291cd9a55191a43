/** How estimates agree with what is verified, and what is not known: the kernel's figures. */

import { isHeadKind, isPositionKind, type Kind } from "./node";
import { measured, nullable, type Reader, record, text, whole } from "./shape";

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

export function isKind(value: string): value is Kind {
  return isHeadKind(value) || isPositionKind(value);
}

export function readKindReport(value: unknown, where: string): KindReport {
  const raw = record(value, where);
  const layers = Object.entries(record(raw.layers ?? {}, `${where}.layers`));
  return {
    method: text(raw.method, `${where}.method`),
    total: whole(raw.total, `${where}.total`),
    idle: whole(raw.idle, `${where}.idle`),
    verified: whole(raw.verified, `${where}.verified`),
    all: readFigures(raw.all, `${where}.all`),
    layers: new Map(
      layers.map(([layer, one]) => [
        Number(layer),
        readFigures(one, `${where}.layers.${layer}`),
      ]),
    ),
    bound: nullable(readBound)(raw.bound, `${where}.bound`),
    withoutBound: text(raw.without_bound ?? "", `${where}.without_bound`),
  };
}

const figure: Reader<number | null> = nullable(measured);

function readFigures(value: unknown, where: string): Figures {
  const raw = record(value, where);
  const recall = Object.entries(record(raw.recall ?? {}, `${where}.recall`));
  return {
    n: whole(raw.n, `${where}.n`),
    pearson: figure(raw.pearson, `${where}.pearson`),
    slope: figure(raw.slope, `${where}.slope`),
    spearman: figure(raw.spearman, `${where}.spearman`),
    recall: recall.map(([k, share]) => ({
      k: Number(k),
      share: figure(share, `${where}.recall.${k}`),
    })),
  };
}

function readBound(value: unknown, where: string): Bound {
  const raw = record(value, where);
  return {
    value: measured(raw.value, `${where}.value`),
    confidence: measured(raw.confidence, `${where}.confidence`),
    node: text(raw.node, `${where}.node`),
    unverified: whole(raw.unverified, `${where}.unverified`),
    words: text(raw.words, `${where}.words`),
    assumption: text(raw.assumption, `${where}.assumption`),
  };
}
