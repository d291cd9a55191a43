/** Effects as a heatmap: what the grids and a head by position have in common. */

import type { Axes } from "../draw/axes";
import { setAttributes } from "../draw/dom";
import { createPlot, type Plot } from "../draw/plot";
import type { EffectCells } from "../state/figure";
import type { View } from "./view";

/** A heatmap that the keyboard can be on. */
export function heatmap(name: string, attributes: Record<string, string> = {}): Plot {
  const plot = createPlot();
  setAttributes(plot.canvas, {
    class: name,
    tabindex: 0,
    role: "application",
    "aria-roledescription": "heatmap",
    ...attributes,
  });
  return plot;
}

export interface Effects {
  cells: EffectCells;
  /** The value at the ends of the colours. */
  scale: number;
  picked: readonly number[];
  axes: Axes;
  /** For those who do not see it. */
  label: string;
}

export function drawEffects(
  { store, theme }: View,
  { canvas, draw }: Plot,
  { cells, scale, picked, axes, label }: Effects,
): void {
  const { palette } = theme.value;
  const shown = store.shown.value;
  const { cellWidth, cellHeight } = axes;
  const { unknown, verified } = cells;
  const isDrawn = draw(
    {
      matrix: cells,
      colours: shown === "miss" ? palette.miss : palette.diverging,
      scale,
      cellWidth,
      cellHeight,
      theme: theme.value,
      unknown,
      verified,
      picked,
    },
    axes,
  );
  setAttributes(canvas, {
    "data-rows": cells.rows,
    "data-cols": cells.columns,
    "data-drawn": isDrawn && shown,
    "aria-label": label,
  });
}
