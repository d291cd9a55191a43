/** Nodes named by a user in text: `L9H9.q`, `9.9`, `9.9.q@S2`, `L3.mlp_out@12`. */

import { formatNode, isHeadKind, KINDS, type Kind, type Node } from "./node";
import type { Study } from "./study";

export interface Typed {
  names: string[];
  /** What could not be understood, and why. */
  problems: string[];
}

const FORM = /^(?:L?(\d+)(?:[H.](\d+))?)(?:\.([a-z_]+))?(?:@([^,]+?)(?:,([^,]+))?)?$/i;

/** Names are separated by spaces, commas or semicolons; a comma may also be a name's own. */
export function readTyped(text: string, study: Study, kind: Kind | ""): Typed {
  const found: Typed = { names: [], problems: [] };
  for (const word of text.split(/[\s;]+|,(?=\s|[Ll]?\d+[.H])/).filter(Boolean)) {
    const result = readWord(word.replace(/,$/, ""), study, kind);
    if (typeof result === "string") found.problems.push(`${word}: ${result}`);
    else found.names.push(formatNode(result));
  }
  return { ...found, names: [...new Set(found.names)] };
}

/** A node, or what is wrong with the word. */
function readWord(word: string, study: Study, focus: Kind | ""): Node | string {
  const match = FORM.exec(word);
  if (!match) return "not a node: write L9H9.q, 9.9 or L3.mlp_out@12";
  const [, layerText, headText, kindText, posText, srcText] = match;
  const layer = Number(layerText);
  const head = headText === undefined ? null : Number(headText);
  const kind = kindOf(kindText, head !== null, focus);
  if (kind === null) return `${kindText} is no kind: ${KINDS.join(", ")}`;
  const [pos, src] = [posText, srcText].map((place) => positionOf(place, study));
  const node = { kind, layer, head, pos: pos ?? null, src: src ?? null };
  return problemOf(node, study) ?? node;
}

function kindOf(
  given: string | undefined,
  hasHead: boolean,
  focus: Kind | "",
): Kind | null {
  if (given !== undefined) return KINDS.find((kind) => kind === given) ?? null;
  const usual = hasHead ? "z" : "resid_pre";
  return focus !== "" && isHeadKind(focus) === hasHead ? focus : usual;
}

/** NaN for a name that is none of the study's. */
function positionOf(place: string | undefined, { names }: Study): number | null {
  if (place === undefined) return null;
  if (/^\d+$/.test(place)) return Number(place);
  for (const [position, name] of names) {
    if (name.split("/").includes(place)) return position;
  }
  return Number.NaN;
}

function problemOf({ kind, layer, head, pos, src }: Node, study: Study): string | null {
  const heads = kind === "k" || kind === "v" ? study.kvHeads : study.heads;
  const outside = (position: number | null) =>
    position !== null && !(position < study.positions);
  if (layer >= study.layers) return `the model has layers 0 to ${study.layers - 1}`;
  if (isHeadKind(kind) && head === null)
    return `${kind} belongs to a head: L9H9.${kind}`;
  if (!isHeadKind(kind) && head !== null) return `${kind} has no heads: L9.${kind}@12`;
  if (head !== null && head >= heads) return `${kind} has heads 0 to ${heads - 1}`;
  if (head === null && pos === null) return `${kind} needs a position: L9.${kind}@12`;
  if (outside(pos) || outside(src)) {
    return `positions are 0 to ${study.positions - 1}${namesWords(study)}`;
  }
  return src !== null && kind !== "pattern" ? `${kind} has one position` : null;
}

function namesWords({ names }: Study): string {
  return names.size > 0 ? `, or ${[...names.values()].join(", ")}` : "";
}
