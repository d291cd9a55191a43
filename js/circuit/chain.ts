/** Whether paths lead from the embedding to the logits: without that they keep nothing. */

import type { HeadCounts } from "../state/place";
import { type End, headsOf, parseEnds } from "./ends";
import type { PathResult } from "./record";

export function isChain(
  results: ReadonlyMap<string, PathResult>,
  counts: HeadCounts,
): boolean {
  const reached = new Set(partsOf("embed", counts));
  let before = 0;
  while (reached.size > before) {
    before = reached.size;
    for (const { writer, reader } of results.values()) {
      if (!partsOf(writer, counts).some((part) => reached.has(part))) continue;
      for (const part of partsOf(reader, counts)) reached.add(part);
    }
  }
  return partsOf("final", counts).some((part) => reached.has(part));
}

/** Without positions: what reads one may write at another. */
function partsOf(names: string, counts: HeadCounts): string[] {
  return parseEnds(names).flatMap((end) => (end ? each(end, counts) : []));
}

/** Keys and values that several heads share are read by each of them. */
function each(end: End, counts: HeadCounts): string[] {
  const [first, last] = headsOf(end, counts) ?? [0, 1];
  return Array.from({ length: last - first }, (_, at) =>
    [end.part, end.layer, first + at].join(" "),
  );
}
