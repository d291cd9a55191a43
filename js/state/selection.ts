/** How picks change. Pure: nothing is written here. */

export type PickMode = "only" | "toggle";

/** Each pick is an exact patch, and a line in the table: a slip must not fire thousands. */
export const MAX_DRAGGED = 256;

export function pick(selection: readonly string[], name: string, mode: PickMode) {
  if (mode === "only") return [name];
  return selection.includes(name)
    ? selection.filter((other) => other !== name)
    : [...selection, name];
}

/** Many at once: instead of what was picked, or added to it; none is taken back. */
export function pickMany(
  selection: readonly string[],
  names: readonly string[],
  mode: PickMode,
): string[] {
  return [...new Set(mode === "only" ? names : [...selection, ...names])];
}

export function sameSelection(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}
