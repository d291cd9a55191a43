/** Which nodes in focus are dots, which are marks of the rug, and which are neither. */

import { type FocusNode, isNumber, isVerified } from "./focus";

/** A verified node with numbers on both axes. */
export interface DotNode extends FocusNode {
  estimate: number;
  compared: number;
}

/** A node that is not verified, with its estimate. */
export interface RugNode extends FocusNode {
  estimate: number;
}

export interface Cloud {
  dots: readonly DotNode[];
  rug: readonly RugNode[];
  /** How many nodes have a place in neither: an estimate or an effect is no number. */
  undrawn: number;
}

export function makeCloud(nodes: readonly FocusNode[]): Cloud {
  const dots = nodes.filter(isDot);
  const rug = nodes.filter(isRug);
  return { dots, rug, undrawn: nodes.length - dots.length - rug.length };
}

/** The way the keyboard goes: dots, the largest miss first, then the rug, by size. */
export function steps({ dots, rug }: Cloud): string[] {
  const byMiss = [...dots].sort((a, b) => (b.miss ?? 0) - (a.miss ?? 0));
  const bySize = [...rug].sort((a, b) => Math.abs(b.estimate) - Math.abs(a.estimate));
  return [...byMiss, ...bySize].map(({ name }) => name);
}

/** Every number that a plot of these must hold. */
export function* cloudValues({ dots, rug }: Cloud): Iterable<number> {
  for (const { estimate, compared, interval } of dots) {
    yield estimate;
    yield compared;
    if (interval) yield* interval;
  }
  for (const { estimate } of rug) yield estimate;
}

function isDot(node: FocusNode): node is DotNode {
  return isNumber(node.estimate) && isNumber(node.compared);
}

function isRug(node: FocusNode): node is RugNode {
  return !isVerified(node) && isNumber(node.estimate);
}
