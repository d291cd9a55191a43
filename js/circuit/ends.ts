/** The ends of a path by their names: `embed`, `L1H2@5`, `L3.mlp`, `L4H0.q`, `final`. */

import { type HeadCounts, headPlace, type Place, queryHeads } from "../state/place";

/** What a head reads with. */
export const PORTS = ["q", "k", "v"] as const;
export type Port = (typeof PORTS)[number];

export interface End {
  part: "embed" | "head" | "mlp" | "final";
  layer: number | null;
  /** A KV head where the port is `k` or `v`. */
  head: number | null;
  /** Null at a writer. */
  port: Port | null;
  pos: number | null;
}

const NAME = /^(?:(embed|final)|L(\d+)(?:H(\d+)(?:\.([qkv]))?|\.(mlp)))(?:@(\d+))?$/;

/** Null for a name that is none: it may come from a newer kernel. */
export function parseEnd(name: string): End | null {
  const match = NAME.exec(name);
  if (!match) return null;
  const [, edge, layer, head, port, mlp, pos] = match;
  return {
    part: (edge as "embed" | "final" | undefined) ?? (mlp ? "mlp" : "head"), // by NAME
    layer: numberOrNull(layer),
    head: numberOrNull(head),
    port: (port as Port | undefined) ?? null, // by NAME
    pos: numberOrNull(pos),
  };
}

/** Of several that are patched together, each. */
export function parseEnds(names: string): (End | null)[] {
  return names.split(" + ").map(parseEnd);
}

/** The KV head that serves a query head. */
export function servedBy(head: number, { heads, kvHeads }: HeadCounts): number {
  const group = kvHeads > 0 ? Math.max(1, Math.round(heads / kvHeads)) : 1;
  return Math.floor(head / group);
}

/** The query heads that an end is about; null for what is no head. */
export function headsOf({ head, port }: End, counts: HeadCounts) {
  return head === null ? null : queryHeads(port ?? "z", head, counts);
}

/** Where the pointer is when it is at an end; null where no other view has it. */
export function endPlace(end: End, counts: HeadCounts): Place | null {
  const heads = headsOf(end, counts);
  if (end.layer === null) return null;
  return { ...headPlace(end.layer, 0), heads, pos: end.pos };
}

/** Whether a place that another view points at is this end, or is in it. */
export function isAt(end: End, place: Place | null, counts: HeadCounts): boolean {
  const heads = headsOf(end, counts);
  if (!place?.heads || !heads || place.layer !== end.layer) return false;
  return place.heads[0] < heads[1] && heads[0] < place.heads[1];
}

/** The node whose pick stands for what an end writes; null where none does. */
export function pickOf({ part, layer, head, port, pos }: End): string | null {
  if (part !== "head") return null;
  const name = `L${layer}H${head}.${port === null || port === "q" ? "z" : port}`;
  return pos === null ? name : `${name}@${pos}`;
}

/** `L4H0` of `L4H0.q`, `L3.mlp` of itself: what can be looked at. */
export function subjectOf({ part, layer, head, port }: End): string | null {
  if (part === "mlp") return `L${layer}.mlp`;
  const isOne = part === "head" && (port === null || port === "q");
  return isOne ? `L${layer}H${head}` : null;
}

function numberOrNull(digits: string | undefined): number | null {
  return digits === undefined ? null : Number(digits);
}
