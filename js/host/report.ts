/** Trouble that is nobody's request: said once on the console, then ignored. */
export type Report = (what: string, detail?: unknown) => void;

export function reportOnce(): Report {
  const said = new Set<string>();
  return (what, detail) => {
    if (said.has(what)) return;
    said.add(what);
    console.warn(`patchwidget: ${what}`, detail ?? "");
  };
}
