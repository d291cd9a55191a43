/** How picks change. Pure: nothing is written here. */

export type PickMode = "only" | "toggle";

export function pick(selection: readonly string[], name: string, mode: PickMode) {
  if (mode === "only") return [name];
  return selection.includes(name)
    ? selection.filter((other) => other !== name)
    : [...selection, name];
}

export function sameSelection(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}
