/** The Python that brings back what is on the page. */

import { CLOSED, type Settings } from "./settings";
import type { Study } from "./study";

type Shown = Pick<
  Settings,
  "selection" | "shown" | "pair" | "method" | "kind" | "names" | "folds" | "wide"
>;

/**
 * Only what differs from a new widget. `study` is the user's own variable; so are tensors
 * of the kinds in `mine`, whose names are not known here.
 */
export function toPython(
  study: Study,
  mine: readonly string[],
  now: (name: keyof Shown) => Settings[keyof Shown],
): string {
  const usual: Shown = {
    selection: [],
    shown: "estimate",
    pair: 0,
    method: "atp",
    kind: "",
    names: {},
    folds: CLOSED,
    wide: false,
  };
  const given = (Object.keys(usual) as (keyof Shown)[]) // the keys of a literal
    .filter((name) => literal(now(name)) !== literal(usual[name]))
    .map((name) => `    ${name}=${literal(now(name))},`);
  if (mine.length > 0) {
    const tensors = mine.map((kind) => `"${kind}": my_${kind}`);
    given.push(`    mine={${tensors.join(", ")}},  # tensors of your own`);
  }
  const about = `# ${study.model}, ${study.metric.name}, ${study.direction}`;
  const call = ["PatchWidget(", "    study,", ...given, ")"];
  return [
    "from patchwidget import PatchWidget",
    "",
    `${about.replaceAll(/\s+/g, " ")}: study is a PatchStudy in this direction`,
    given.length > 0 ? call.join("\n") : "PatchWidget(study)",
    "",
  ].join("\n");
}

/** A Python literal; JSON's strings, numbers and lists are Python's too. */
function literal(value: Settings[keyof Settings]): string {
  if (typeof value === "boolean") return value ? "True" : "False";
  return JSON.stringify(value).replaceAll(/","/g, '", "').replaceAll('":"', '": "');
}
