/** The names that a user gives to heads: "name mover" for `L9H9`. */

import { type HeadRef, headName } from "./attention";
import type { Node } from "./node";
import { type HeadCounts, queryHeads } from "./place";

/** By head, as in the trait: `{"L9H9": "name mover"}`. */
export type Names = Readonly<Record<string, string>>;

/** Longer names would push everything else off a line. */
export const MAX_NAME_LETTERS = 40;

/** The user's name of a head; empty without one. */
export function nameOf(names: Names, layer: number, head: number): string {
  return names[headName({ layer, head })] ?? "";
}

/** A head as it is called wherever there is room: `L9H9 “name mover”`, or `L9H9`. */
export function headLabel(names: Names, layer: number, head: number): string {
  const name = nameOf(names, layer, head);
  return name ? `${headName({ layer, head })} “${name}”` : headName({ layer, head });
}

/** The head that a node's name is about; null for a KV head that several share. */
export function namedHead(node: Node, counts: HeadCounts): HeadRef | null {
  if (node.head === null) return null;
  const [start, end] = queryHeads(node.kind, node.head, counts);
  return end - start === 1 ? { layer: node.layer, head: start } : null;
}

/** The name of a node's head; empty without one. */
export function nodeNickname(names: Names, node: Node, counts: HeadCounts): string {
  const head = namedHead(node, counts);
  return head ? nameOf(names, head.layer, head.head) : "";
}

/** The names with one of them changed; an empty name takes it away. */
export function withName(names: Names, head: HeadRef, name: string): Names {
  const { [headName(head)]: _, ...others } = names;
  const letters = [...name.trim().replace(/\s+/g, " ")];
  const short = letters.slice(0, MAX_NAME_LETTERS).join("");
  return short === "" ? others : { ...others, [headName(head)]: short };
}
