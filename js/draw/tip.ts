/** A small note beside the cell that the pointer is at. It repeats what the read-out says. */

import { el, setAttributes } from "./dom";

export interface Tip {
  element: HTMLElement;
  /** `x` and `y` are the upper middle of a cell, `width` the room around. */
  show(
    text: readonly [title: string, rest: string],
    x: number,
    y: number,
    width: number,
  ): void;
  hide(): void;
}

const GAP = 7;

export function createTip(): Tip {
  const title = el("strong");
  const rest = el("span");
  const element = el(
    "div",
    { class: "pw-cell-tip", "aria-hidden": "true" },
    title,
    rest,
  );
  element.hidden = true;
  return {
    element,
    show([first, second], x, y, width) {
      title.textContent = first;
      rest.textContent = second;
      setAttributes(element, { hidden: false });
      // Grown away from the nearer edge, so that it need not be measured.
      const isRight = x > width / 2;
      const { style } = element;
      style.left = isRight ? "" : `${Math.max(0, x - GAP)}px`;
      style.right = isRight ? `${Math.max(0, width - x - GAP)}px` : "";
      style.top = `${y - GAP}px`;
    },
    hide: () => setAttributes(element, { hidden: true }),
  };
}
