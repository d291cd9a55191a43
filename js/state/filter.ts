/**
 * What is typed to find nodes: "9.9", "L5", "q", "@12", "@END", "L9H9.q", "name mover".
 * Words apart by spaces must all fit, in any order; capitals make no difference.
 */

import { isKind, type Node } from "./node";

/** What a filter looks at. */
export interface Findable {
  name: string;
  /** What the user calls the head. */
  label: string;
  node: Node;
}

type Test = (row: Findable) => boolean;

/** Names of positions, as the study has them: several of one place with "/" between. */
export type PositionNames = ReadonlyMap<number, string>;

/** A layer, with or without a head: "L9", "L9H9", "9.9", "H9". */
const PLACE = /^(?:l(\d+)(?:[h.](\d+))?|(\d+)\.(\d+)|h(\d+))$/;

export function filterRows<T extends Findable>(
  rows: readonly T[],
  typed: string,
  positions: PositionNames = new Map(),
): readonly T[] {
  const terms = typed.toLowerCase().split(/\s+/).filter(Boolean);
  if (terms.length === 0) return rows;
  const tests = terms.map((term) => testOf(term, positions));
  return rows.filter((row) => tests.every((test) => test(row)));
}

function testOf(term: string, positions: PositionNames): Test {
  const [front = "", at] = term.split("@", 2);
  const place = front === "" ? always : frontTest(front);
  const position = at ? positionTest(at, positions) : always;
  // What is no place is a word of the name or of the user's label.
  if (!place || !position) return textTest(term);
  return (row) => place(row) && position(row);
}

function always(): boolean {
  return true;
}

/** "L9H9.q", "9.9", "9.9.q", "q", "9"; null for what is none of these. */
function frontTest(front: string): Test | null {
  if (/^\d+$/.test(front)) return numberTest(Number(front));
  if (isKind(front)) return kindTest(front);
  const dot = front.lastIndexOf(".");
  const tail = front.slice(dot + 1);
  if (dot > 0 && isKind(tail)) {
    const place = placeTest(front.slice(0, dot));
    const kind = kindTest(tail);
    return place && ((row) => place(row) && kind(row));
  }
  return placeTest(front);
}

function kindTest(kind: string): Test {
  return ({ node }) => node.kind === kind;
}

function placeTest(text: string): Test | null {
  const bare = /^\d+$/.test(text) ? `l${text}` : text;
  const match = PLACE.exec(bare);
  if (!match) return null;
  const layer = match[1] ?? match[3];
  const head = match[2] ?? match[4] ?? match[5];
  return ({ node }) =>
    (layer === undefined || node.layer === Number(layer)) &&
    (head === undefined || node.head === Number(head));
}

/** A number alone may be anything that is counted. */
function numberTest(number: number): Test {
  return ({ node }) => [node.layer, node.head, node.pos, node.src].includes(number);
}

/** "12", "12,4", or a position's name; "12" of a pattern is either of its two. */
function positionTest(at: string, names: PositionNames): Test | null {
  const [first = "", second] = at.split(",");
  const wanted = positionsNamed(first, names);
  if (second === undefined) {
    return ({ node }) => isAmong(node.pos, wanted) || isAmong(node.src, wanted);
  }
  const sources = positionsNamed(second, names);
  return ({ node }) =>
    isAmong(node.pos, wanted) && (second === "" || isAmong(node.src, sources));
}

function isAmong(position: number | null, wanted: ReadonlySet<number>): boolean {
  return position !== null && wanted.has(position);
}

function positionsNamed(text: string, names: PositionNames): Set<number> {
  if (/^\d+$/.test(text)) return new Set([Number(text)]);
  const isNamed = (name: string) => name.toLowerCase().split("/").includes(text);
  return new Set(
    [...names].filter(([, name]) => isNamed(name)).map(([position]) => position),
  );
}

function textTest(term: string): Test {
  return ({ name, label }) =>
    name.toLowerCase().includes(term) || label.toLowerCase().includes(term);
}
