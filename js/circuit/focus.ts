/** What the paths of can be looked at: the heads and MLPs among the picks. */

import { headName, pickedHeads } from "../state/attention";
import { parseNode } from "../state/node";
import type { HeadCounts } from "../state/place";

export function subjectsOf(selection: readonly string[], counts: HeadCounts): string[] {
  const found = selection.flatMap((name) => {
    const node = parseNode(name);
    if (node?.kind === "mlp_out") return [`L${node.layer}.mlp`];
    return pickedHeads([name], counts).map(headName);
  });
  return [...new Set(found)];
}

/** What was asked for; else the newest pick that has paths, the first of its heads. */
export function focused(
  asked: string | null,
  selection: readonly string[],
  counts: HeadCounts,
): string | null {
  if (asked !== null) return asked;
  for (const name of [...selection].reverse()) {
    const [first] = subjectsOf([name], counts);
    if (first !== undefined) return first;
  }
  return null;
}
