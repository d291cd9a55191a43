/** Tokens as a person can read them: nothing invisible, nothing that moves the text. */

import type { Study } from "./study";

/** What stands at a position, for an axis. */
export interface TokenLabel {
  /** A leading space is kept apart, so that it can be drawn faintly. */
  lead: string;
  body: string;
  /** True where the pairs shown together have different tokens here. */
  varies: boolean;
}

const NAMED_WHITESPACE = new Map([
  ["\n", "⏎"],
  ["\r", "␍"],
  ["\t", "⇥"],
  [" ", "·"],
]);

/** Controls, format characters (zero-width, direction overrides) and odd spaces. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\p{Cs}]/gu;

export function visibleToken(token: string): { lead: string; body: string } {
  if (token === "") return { lead: "", body: "∅" };
  const lead = /^ (?=\S)/.test(token) ? "·" : "";
  return { lead, body: token.slice(lead.length).replace(INVISIBLE, visibleCharacter) };
}

export function visibleText(token: string): string {
  const { lead, body } = visibleToken(token);
  return lead + body;
}

function visibleCharacter(character: string): string {
  const named = NAMED_WHITESPACE.get(character);
  if (named !== undefined) return named;
  const code = character.codePointAt(0) ?? 0;
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/** The pair whose tokens are shown: the mean has none of its own, so the first. */
export function shownPair(pair: number): number {
  return Math.max(0, pair);
}

/** Labels of all positions, from a prompt of a pair (-1: of all pairs). */
export function tokenLabels(
  study: Study,
  pair: number,
  prompt: "clean" | "corrupted" = "clean",
): TokenLabel[] {
  const tokens = study.pairs[shownPair(pair)]?.[prompt] ?? [];
  return Array.from({ length: study.positions }, (_, position) => ({
    ...visibleToken(tokens[position] ?? ""),
    varies: pair < 0 && tokenVaries(study, position),
  }));
}

/** Whether the pairs have different tokens at a position, in either prompt. */
export function tokenVaries(study: Study, position: number): boolean {
  const [first] = study.pairs;
  return study.pairs.some(
    ({ clean, corrupted }) =>
      clean[position] !== first?.clean[position] ||
      corrupted[position] !== first?.corrupted[position],
  );
}

/** A position in words: its name if it has one, else its token and number. */
export function positionName(study: Study, pair: number, position: number): string {
  const name = study.names.get(position);
  if (name !== undefined) return name;
  const token = study.pairs[shownPair(pair)]?.clean[position] ?? "";
  return `${visibleText(token)} ${position}`;
}
