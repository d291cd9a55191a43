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

/** What was asked for, while it can be; else the newest pick. */
export function focused(asked: string | null, subjects: readonly string[]) {
  return asked ?? subjects.at(-1) ?? null;
}
