import { describe, expect, test } from "vitest";
import { at, find, host, open, place, store } from "./opened";
import { CASES } from "./page/cases";
import { TRAITS } from "./page/data";

function gridOf(kind: string): HTMLCanvasElement {
  return find(`canvas.pw-grid[data-kind="${kind}"]`, HTMLCanvasElement);
}

function captionOf(kind: string): string {
  return gridOf(kind).closest("figure")?.querySelector("figcaption")?.textContent ?? "";
}

function hover(canvas: HTMLCanvasElement, row: number, column: number): void {
  canvas.dispatchEvent(new MouseEvent("pointermove", at(canvas, row, column)));
}

function press(target: Element, key: string, init: object = {}): void {
  const event = { key, bubbles: true, cancelable: true, ...init };
  target.dispatchEvent(new KeyboardEvent("keydown", event));
}

type Corner = readonly [row: number, column: number];

function drag(canvas: HTMLCanvasElement, from: Corner, to: Corner, init = {}) {
  canvas.dispatchEvent(new MouseEvent("pointerdown", at(canvas, ...from, init)));
  const held = { buttons: 1, ...init };
  for (const [row, column] of [from, to]) {
    document.dispatchEvent(
      new MouseEvent("pointermove", at(canvas, row, column, held)),
    );
  }
}

function release(canvas: HTMLCanvasElement, on: Corner, init = {}): void {
  document.dispatchEvent(new MouseEvent("pointerup", at(canvas, ...on, init)));
  canvas.dispatchEvent(new MouseEvent("click", at(canvas, ...on, init)));
}

function outline(kind: string): HTMLElement {
  const found = gridOf(kind).parentElement?.querySelector(".pw-outline");
  if (!(found instanceof HTMLElement)) throw new Error("no outline");
  return found;
}

function readout(): string {
  return find(".pw-readout-live", HTMLElement).textContent;
}

describe("the scales", () => {
  function ends(line: string): string[] {
    const group = find(`[data-line="${line}"]`, HTMLElement);
    const labels = [...group.querySelectorAll(".pw-bar-end")];
    return labels.map(({ textContent }) => textContent);
  }

  test("are one for each line, and the same in every mode", () => {
    open();
    const drawn = [ends("position"), ends("head")];
    expect(drawn[0]).not.toEqual(drawn[1]);
    expect(drawn[0]?.[0]?.slice(1)).toBe(drawn[0]?.[1]?.slice(1));
    for (const shown of ["exact", "known"] as const) {
      store.set("shown", shown);
      expect([ends("position"), ends("head")]).toEqual(drawn);
    }
    store.set("shown", "miss");
    expect(ends("head")).toEqual(["0", drawn[1]?.[1]?.slice(1)]);
  });

  test("point at the value under the pointer, in its own line only", () => {
    open();
    hover(gridOf("z"), 4, 0);
    const pointers = [...place.querySelectorAll(".pw-line-group .pw-bar-pointer")];
    const seen = pointers.map((pointer) => pointer.getAttribute("visibility"));
    expect(seen).toEqual(["hidden", "visible"]);
  });

  test("are not drawn where every value is 0", () => {
    open(CASES.zero?.());
    expect(find(".pw-scale", HTMLElement).hidden).toBe(true);
    expect(find(".pw-line-head", HTMLElement).textContent).toContain(
      "every value is 0",
    );
  });
});

describe("the method", () => {
  test("is chosen by its label and written once", () => {
    open();
    const choice = find(".pw-method", HTMLSelectElement);
    expect([...choice.options].map(({ text }) => text)).toEqual([
      "AtP",
      "AtP, QK fix",
      "GradDrop (5 of 8 kinds)",
    ]);
    choice.value = "graddrop";
    choice.dispatchEvent(new Event("change"));
    expect(host.written).toEqual([["method", "graddrop"]]);
    expect(captionOf("z")).toContain("AtP");
  });

  test("that was refused goes back, and one that is not listed is named", () => {
    open();
    host.receive("method", "odd");
    expect(find(".pw-method", HTMLSelectElement).value).toBe("odd");
    host.receive("method", "atp");
    expect(find(".pw-method", HTMLSelectElement).value).toBe("atp");
    expect(captionOf("z")).not.toContain("AtP");
  });

  test("of a facet is told where it is not the chosen one, or gives sizes only", () => {
    open(CASES.mixed?.());
    expect(captionOf("resid_pre")).toMatch(/AtP$/);
    expect(captionOf("pattern")).toMatch(/AtP$/);
    expect(captionOf("z")).toMatch(/zsizes$/);
    hover(gridOf("z"), 0, 0);
    expect(readout()).toContain("estimated size +");
  });
});

describe("the read-out", () => {
  test("tells interval and range of estimate and of exact", () => {
    open();
    hover(gridOf("z"), 4, 0);
    expect(readout()).toMatch(
      /^L4H0\.z“name mover”estimate \+0\.318 \[0\.\d+, 0\.\d+\], pairs \+0\.\d+ to \+0\.\d+/,
    );
    expect(readout()).toMatch(
      /exact \+0\.271 \[0\.244, 0\.298\], pairs \+0\.\d+ to \+0\.\d+miss 0\.047$/,
    );
  });

  test("says nothing of spread where there is one pair, and of no value", () => {
    open(CASES.missing?.());
    hover(gridOf("resid_pre"), 0, 0);
    expect(readout()).toContain("estimate no value");
    expect(readout()).not.toContain("[");
  });

  test("shows the last pick while the pointer is nowhere, else a hint", () => {
    open();
    expect(readout()).toContain("L2.resid_pre@10");
    store.set("selection", []);
    expect(readout()).toContain("Click a cell");
  });

  test("is beside the cell too, and goes with the pointer", () => {
    open();
    const canvas = gridOf("z");
    hover(canvas, 4, 0);
    const tip = canvas.closest(".pw-plot")?.querySelector<HTMLElement>(".pw-cell-tip");
    expect(tip?.hidden).toBe(false);
    expect(tip?.textContent).toContain("“name mover” · estimate +0.318 · exact +0.271");
    canvas.dispatchEvent(new MouseEvent("pointerleave"));
    expect(tip?.hidden).toBe(true);
  });
});

describe("a rectangle", () => {
  test("picks its cells with one write, at its end", () => {
    open({ ...TRAITS, selection: ["L0H0.k"] });
    const canvas = gridOf("z");
    drag(canvas, [3, 6], [1, 5]);
    expect(outline("z").hidden).toBe(false);
    expect(outline("z").dataset.label).toBe("6 cells");
    expect(host.written).toEqual([]);
    release(canvas, [1, 5]);
    const names = ["L1H5.z", "L1H6.z", "L2H5.z", "L2H6.z", "L3H5.z", "L3H6.z"];
    expect(host.written).toEqual([["selection", names]]);
    expect(outline("z").hidden).toBe(true);
    expect(find(".pw-readout", HTMLElement).textContent).toContain("6 cells picked");
  });

  test("with shift adds to the picks, and takes none back", () => {
    open({ ...TRAITS, selection: ["L0H0.k", "L0H1.z"] });
    const canvas = gridOf("z");
    drag(canvas, [0, 0], [0, 1], { shiftKey: true });
    release(canvas, [0, 1], { shiftKey: true });
    expect(store.selection.value).toEqual(["L0H0.k", "L0H1.z", "L0H0.z"]);
  });

  test("is given up by Escape, which leaves the picks", () => {
    open();
    const canvas = gridOf("z");
    drag(canvas, [0, 0], [2, 2]);
    press(canvas, "Escape");
    expect(outline("z").hidden).toBe(true);
    release(canvas, [2, 2]);
    expect(host.written).toEqual([]);
    canvas.dispatchEvent(new MouseEvent("pointerdown", at(canvas, 1, 1)));
    release(canvas, [1, 1]);
    expect(store.selection.value).toEqual(["L1H1.z"]);
  });

  test("ends where the button was released unseen", () => {
    open();
    const canvas = gridOf("z");
    drag(canvas, [0, 0], [2, 2]);
    document.dispatchEvent(new MouseEvent("pointermove", at(canvas, 3, 3)));
    expect(outline("z").hidden).toBe(true);
    expect(host.written).toEqual([]);
  });

  test("may end outside, at the nearest cell", () => {
    open({ ...TRAITS, selection: [] });
    const canvas = gridOf("z");
    drag(canvas, [3, 6], [99, 99]);
    document.dispatchEvent(new MouseEvent("pointerup", at(canvas, 99, 99)));
    expect(store.selection.value).toEqual(["L3H6.z", "L3H7.z", "L4H6.z", "L4H7.z"]);
  });

  test("of a hand that trembles in one cell is a click", () => {
    open();
    const canvas = gridOf("z");
    const { clientX, clientY } = at(canvas, 2, 2);
    const near = { clientX: clientX + 3, clientY, buttons: 1 };
    canvas.dispatchEvent(new MouseEvent("pointerdown", at(canvas, 2, 2)));
    document.dispatchEvent(new MouseEvent("pointermove", near));
    release(canvas, [2, 2]);
    expect(host.written).toEqual([["selection", ["L2H2.z"]]]);
  });

  test("of too many cells is refused in words", () => {
    open({ ...CASES.large?.(), selection: ["L0H0.z"] }, 1400);
    const canvas = gridOf("z");
    drag(canvas, [0, 0], [20, 20]);
    expect(outline("z").classList).toContain("pw-refused");
    release(canvas, [20, 20]);
    expect(host.written).toEqual([]);
    const alert = () => find(".pw-readout [role=alert]", HTMLElement).textContent;
    expect(alert()).toContain("441 cells: more than 256");
    drag(canvas, [0, 0], [1, 1]);
    release(canvas, [1, 1]);
    expect(alert()).toBe("");
    expect(store.selection.value).toHaveLength(4);
  });

  test("is drawn by keyboard too, and Escape takes it back first", () => {
    open({ ...TRAITS, selection: ["L0H0.k"] });
    const canvas = gridOf("q");
    press(canvas, "ArrowRight", { shiftKey: true });
    press(canvas, "ArrowDown", { shiftKey: true });
    expect(outline("q").dataset.label).toBe("4 cells");
    press(canvas, "Escape");
    expect(outline("q").hidden).toBe(true);
    expect(host.written).toEqual([]);
    press(canvas, "ArrowDown", { shiftKey: true });
    press(canvas, "Enter");
    expect(store.selection.value).toEqual(["L0H0.k", "L1H1.q", "L2H1.q"]);
  });
});

describe("the name of a head", () => {
  const field = () => find(".pw-name-field", HTMLInputElement);
  const form = () => find(".pw-namer", HTMLFormElement);

  test("is given by a double click, and shown", () => {
    open();
    const canvas = gridOf("q");
    canvas.dispatchEvent(new MouseEvent("dblclick", at(canvas, 2, 3)));
    expect(form().hidden).toBe(false);
    expect(document.activeElement).toBe(field());
    field().value = "S-inhibition";
    form().dispatchEvent(new Event("submit", { cancelable: true }));
    expect(host.written).toEqual([
      ["names", { L4H0: "name mover", L2H3: "S-inhibition" }],
    ]);
    expect(form().hidden).toBe(true);
    expect(document.activeElement).toBe(canvas);
    hover(gridOf("z"), 2, 3);
    expect(readout()).toContain("“S-inhibition”");
  });

  test("is begun by F2 with the old one, and Escape leaves it", () => {
    open();
    const canvas = gridOf("z");
    canvas.focus();
    for (let step = 0; step < 4; step++) press(canvas, "ArrowDown");
    press(canvas, "F2");
    expect(field().value).toBe("name mover");
    press(field(), "Escape");
    expect(form().hidden).toBe(true);
    expect([host.written, store.selection.value.length]).toEqual([[], 4]);
  });

  test("can be given from the read-out to the last picked head", () => {
    open({ ...TRAITS, selection: ["L2.resid_pre@10", "L3H1.z"] });
    find(".pw-rename", HTMLButtonElement).click();
    expect(find(".pw-namer-label", HTMLElement).textContent).toContain("L3H1");
  });

  test("is not asked for a position", () => {
    open();
    const canvas = gridOf("resid_pre");
    canvas.dispatchEvent(new MouseEvent("dblclick", at(canvas, 2, 3)));
    expect(form().hidden).toBe(true);
  });
});

describe("a long prompt", () => {
  test("scrolls on its own, or is squeezed into the width", () => {
    open(CASES.long?.(), 600);
    const canvas = gridOf("resid_pre");
    const scroller = () => canvas.closest(".pw-scroller");
    expect(scroller()?.classList).toContain("pw-scrolls");
    expect(Number.parseFloat(canvas.style.width)).toBe(4000);
    find(".pw-fit", HTMLButtonElement).click();
    expect(scroller()?.classList).not.toContain("pw-scrolls");
    expect(Number.parseFloat(canvas.style.width)).toBeLessThanOrEqual(600);
    expect(gridOf("z").closest(".pw-scroller")?.classList).not.toContain("pw-scrolls");
  });

  test("has no such choice when it is short", () => {
    open();
    expect(find(".pw-fit", HTMLButtonElement).hidden).toBe(true);
  });

  test("scrolls in all its plots alike", () => {
    const long = CASES.long?.();
    const one = Object(long?.grids)["atp/resid_pre"];
    const grids = {
      ...Object(long?.grids),
      "atp/mlp_out": { ...one, kind: "mlp_out" },
    };
    open({ ...long, grids }, 600);
    const [first, second] = ["resid_pre", "mlp_out"].map(
      (kind) => gridOf(kind).closest(".pw-scroller") ?? place,
    );
    if (!first || !second) throw new Error("two plots were drawn");
    first.scrollLeft = 500;
    first.dispatchEvent(new Event("scroll"));
    expect(second.scrollLeft).toBe(500);
  });
});
