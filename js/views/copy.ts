/** Taking along what is shown: a figure, its data, the code that makes it. */

import { button, el, quiet, react } from "../draw/dom";
import { pictureOf, toPng } from "../draw/picture";
import { handOver, type Parcel } from "../host/clipboard";
import { toPython } from "../state/code";
import { toCsv } from "../state/csv";
import type { Study } from "../state/study";
import { select, setOptions } from "./choice";
import type { MakeView, View } from "./view";

/** What can be a figure: every part of the page that is a picture. */
const FIGURES = [
  ["effects", ".pw-heatmaps"],
  ["scatter", ".pw-scatter"],
  ["attention", ".pw-attention"],
] as const;

const SCALES = [1, 2, 4];

export const copyView: MakeView = (view) => {
  const { store, signal } = view;
  const status = el("span", { class: "pw-quiet", role: "status" });
  const figure = select("Which figure", () => {}, signal);
  const figures = FIGURES.map(([label, selector]) => [selector, label] as const);
  setOptions(figure, figures, FIGURES[0][1]);
  const scale = select("Scale of the PNG", () => {}, signal);
  setOptions(
    scale,
    SCALES.map((times) => [`${times}`, `${times}×`]),
    "2",
  );
  const tool = (label: string, make: (study: Study) => Parcel | Promise<Parcel>) =>
    button(label, () => void give(make), signal);

  async function give(make: (study: Study) => Parcel | Promise<Parcel>): Promise<void> {
    const study = store.study.peek();
    if (!study) return;
    try {
      const parcel = await make(study);
      const done = await handOver(parcel);
      status.textContent = done === "copied" ? "copied" : `saved as ${parcel.name}`;
    } catch (error) {
      status.textContent = `not copied: ${error instanceof Error ? error.message : error}`;
    }
  }

  const section = el(
    "section",
    { class: "pw-copy", "aria-label": "Copy" },
    quiet("copy"),
    figure,
    tool("SVG", () => textParcel(drawn(view, figure.value), "svg")),
    tool("PNG", () => pngParcel(view, figure.value, Number(scale.value))),
    scale,
    tool("data (CSV)", (study) => csvParcel(view, study)),
    tool("code", (study) => codeParcel(view, study)),
    status,
  );
  react(signal, () => {
    section.hidden = store.study.value === null;
  });
  return section;
};

/** The figure as SVG, its canvases painted with enough pixels for print. */
function drawn(view: View, selector: string, density = 4): string {
  const { ui, theme } = view;
  const root = ui.root.peek();
  const parts = [...(root?.querySelectorAll<HTMLElement>(selector) ?? [])];
  const shown = parts.filter((part) => part.getClientRects().length > 0);
  if (shown.length === 0) throw new Error("this part of the page is not shown");
  ui.density.value = density;
  try {
    return pictureOf(shown, theme.peek().paper);
  } finally {
    ui.density.value = null;
  }
}

async function pngParcel(view: View, selector: string, scale: number): Promise<Parcel> {
  const content = await toPng(drawn(view, selector, scale), scale);
  return { content, name: "patchwidget.png" };
}

function csvParcel({ store }: View, study: Study): Parcel {
  const [grids, verified] = [store.grids.peek(), store.verified.peek()];
  const csv = toCsv({
    study,
    grids,
    verified,
    mine: store.mine.peek(),
    names: store.names.peek(),
    method: store.method.peek(),
  });
  return textParcel(csv, "csv");
}

function codeParcel({ store }: View, study: Study): Parcel {
  const mine = [...store.mine.peek().keys()];
  const code = toPython(study, mine, (name) => store[name].peek());
  return textParcel(code, "py");
}

function textParcel(content: string, ending: string): Parcel {
  return { content, name: `patchwidget.${ending}` };
}
