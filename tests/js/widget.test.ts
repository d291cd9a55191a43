import { describe, expect, test } from "vitest";
import { mountWidget } from "../../js/views/widget";
import { at, browser, find, host, life, open, place, store } from "./opened";
import { CASES } from "./page/cases";
import { grid, HEADS, LAYERS, NO_JOB, TRAITS } from "./page/data";
import { settle } from "./support";

function gridOf(kind: string, within = place): HTMLCanvasElement {
  return find(`canvas.pw-grid[data-kind="${kind}"]`, HTMLCanvasElement, within);
}

function press(target: Element, key: string): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event;
}

describe("the picture", () => {
  test("holds a canvas of exactly the cells for every grid", () => {
    open();
    const canvas = gridOf("z");
    expect(canvas.dataset).toMatchObject({ rows: `${LAYERS}`, cols: `${HEADS}` });
    expect(canvas.dataset.drawn).toBe("estimate");
    const cell = Number.parseFloat(canvas.style.width) / HEADS;
    expect(cell).toBeGreaterThanOrEqual(10);
    expect(Number.parseFloat(canvas.style.height)).toBe(cell * LAYERS);
    expect(browser.calls(canvas)).toContain("drawImage");
  });

  test("waits for a layout", () => {
    open(TRAITS, 0);
    expect(gridOf("z").dataset.drawn).toBeUndefined();
    browser.resize(800);
    expect(gridOf("z").dataset.drawn).toBe("estimate");
  });

  test("grows by grids that come one after another, and keeps its canvases", () => {
    open({ ...TRAITS, grids: grid("z", ["layer", "head"], [2, 3], () => 1) });
    const first = gridOf("z");
    const more = grid("resid_pre", ["layer", "pos"], [2, 15], () => 1);
    host.receive("grids", { ...(host.get("grids") as object), ...more }); // set above
    expect(gridOf("z")).toBe(first);
    expect(place.querySelectorAll("canvas.pw-grid")).toHaveLength(2);
  });

  test("follows what is shown", () => {
    open();
    find('[data-shown="miss"]', HTMLButtonElement).click();
    expect(host.written).toEqual([["shown", "miss"]]);
    expect(gridOf("q").dataset.drawn).toBe("miss");
  });

  test("is painted anew when the host changes its theme", async () => {
    open();
    expect(find(".pw-root", HTMLElement).dataset.theme).toBe("light");
    document.body.dataset.jpThemeLight = "false";
    await settle();
    expect(find(".pw-root", HTMLElement).dataset.theme).toBe("dark");
    delete document.body.dataset.jpThemeLight;
  });

  test.each(Object.keys(CASES))("survives the case “%s”", (name) => {
    expect(() => open(CASES[name]?.())).not.toThrow();
    expect(place.querySelector("script, b")).toBeNull();
  });
});

describe("picking", () => {
  test("a click picks one cell, with a modifier one more", () => {
    open();
    const canvas = gridOf("z");
    canvas.dispatchEvent(new MouseEvent("click", at(canvas, 1, 6)));
    expect(store.selection.value).toEqual(["L1H6.z"]);
    const other = gridOf("resid_pre");
    const shifted = at(other, 4, 14, { shiftKey: true });
    other.dispatchEvent(new MouseEvent("click", shifted));
    expect(host.written.at(-1)).toEqual(["selection", ["L1H6.z", "L4.resid_pre@14"]]);
    other.dispatchEvent(new MouseEvent("click", shifted));
    expect(store.selection.value).toEqual(["L1H6.z"]);
  });

  test("a shift-click selects no cells of the notebook, and still focuses", () => {
    open();
    const canvas = gridOf("z");
    const press = (shiftKey: boolean) => {
      const event = new MouseEvent("mousedown", { shiftKey, cancelable: true });
      canvas.dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(press(false)).toBe(false);
    expect(press(true)).toBe(true);
    expect(document.activeElement).toBe(canvas);
  });

  test("by keyboard: arrows move, Enter toggles, Escape clears, nothing leaks", () => {
    open({ ...TRAITS, selection: [] });
    const leaked: string[] = [];
    place.addEventListener("keydown", ({ key }) => leaked.push(key));
    const canvas = gridOf("q");
    for (const key of ["ArrowDown", "ArrowRight", "Enter"]) {
      expect(press(canvas, key).defaultPrevented).toBe(true);
    }
    expect(store.selection.value).toEqual(["L1H1.q"]);
    press(canvas, " ");
    expect(store.selection.value).toEqual([]);
    press(canvas, "Enter");
    press(canvas, "Escape");
    expect(store.selection.value).toEqual([]);
    press(canvas, "b");
    expect(leaked).toEqual([]);
    expect(press(canvas, "Tab").defaultPrevented).toBe(false);
    const save = { key: "s", ctrlKey: true, bubbles: true };
    canvas.dispatchEvent(new KeyboardEvent("keydown", save));
    expect(leaked).toEqual(["s"]);
  });

  test("the table carries full numbers, and none until they are known", () => {
    open({ ...TRAITS, selection: ["L4H0.z", "L1H1.z"] });
    const known = find('.pw-pick[data-node="L4H0.z"]', HTMLTableRowElement);
    expect(find(".pw-estimate", HTMLElement, known).dataset.value).toBe("0.318");
    const exact = find(".pw-exact", HTMLElement, known);
    expect(Number(exact.dataset.value)).toBe(0.271);
    expect(Number(exact.dataset.raw)).toBe(0.271 * 7.26);
    const unknown = find('.pw-pick[data-node="L1H1.z"]', HTMLTableRowElement);
    const cell = find(".pw-exact", HTMLElement, unknown);
    expect(cell.dataset.value).toBeUndefined();
    const result = {
      estimate: 0.1,
      exact: 0.0625,
      raw: 0.5,
      per_pair: [0.0625],
    };
    host.receive("verified", { "L1H1.z": { ...result, halves: null } });
    expect(cell.dataset).toMatchObject({ value: "0.0625", raw: "0.5" });
  });

  test("a pick can be taken back in the table", () => {
    open();
    find('.pw-pick[data-node="L3H1.z"] .pw-unpick', HTMLButtonElement).click();
    expect(store.selection.value).not.toContain("L3H1.z");
    expect(place.querySelector('.pw-pick[data-node="L3H1.z"]')).toBeNull();
  });

  test("set from Python, shows in the table", () => {
    open();
    host.receive("selection", ["L0H0.v"]);
    const rows = [...place.querySelectorAll<HTMLElement>(".pw-pick")];
    expect(rows.map(({ dataset }) => dataset.node)).toEqual(["L0H0.v"]);
  });
});

describe("hovering", () => {
  test("a cell is read out, marked in its siblings and in the prompt", () => {
    open();
    const canvas = gridOf("resid_pre");
    canvas.dispatchEvent(new MouseEvent("pointermove", at(canvas, 2, 10)));
    const readout = find(".pw-readout", HTMLElement).textContent;
    expect(readout).toContain("L2.resid_pre@10");
    expect(readout).toContain("exact +0.812");
    expect(find('.pw-token[data-pos="10"]', HTMLElement).classList).toContain("pw-at");
    const sibling = gridOf("mlp_out").parentElement ?? place;
    expect(find(".pw-cursor", HTMLElement, sibling).hidden).toBe(false);
    canvas.dispatchEvent(new MouseEvent("pointerleave"));
    expect(find(".pw-cursor", HTMLElement, sibling).hidden).toBe(true);
  });

  test("never reaches the kernel", () => {
    open({ ...TRAITS, selection: [] });
    for (const canvas of place.querySelectorAll<HTMLCanvasElement>(
      "canvas[data-rows]",
    )) {
      for (let column = 0; column < 8; column++) {
        canvas.dispatchEvent(new MouseEvent("pointermove", at(canvas, 1, column)));
      }
    }
    expect([host.sent, host.written]).toEqual([[], []]);
  });
});

describe("the job bar", () => {
  test("shows how far a job is, and cancels it", () => {
    open({
      ...TRAITS,
      job: { ...NO_JOB, id: 1, state: "running", done: 3, total: 12 },
    });
    const bar = find(".pw-job", HTMLElement);
    expect(bar.dataset.state).toBe("running");
    expect(find("progress", HTMLProgressElement, bar).value).toBe(3);
    find(".pw-cancel", HTMLButtonElement).click();
    expect(host.sent.at(-1)?.kind).toBe("job.cancel");
  });

  test("offers to run again what failed, until it is known", () => {
    const error = { type: "ValueError", message: "no" };
    const job = { ...NO_JOB, id: 1, state: "failed", error };
    open({ ...TRAITS, selection: ["L1H1.z"], job });
    find(".pw-retry", HTMLButtonElement).click();
    expect(host.sent.at(-1)?.kind).toBe("job.retry");
    host.receive("selection", []);
    expect(place.querySelector(".pw-retry")).toBeNull();
  });

  test.each([
    ["verify z", 0, "Cancelled: verify z, 3 of 9 done."],
    [
      "L1H1.z, then top 10 of z",
      1,
      "Cancelled: L1H1.z, then top 10 of z, 3 of 9 done.",
    ],
    ["L1H1.z", 1, "Cancelled: 1 picked node not run."],
  ])("offers to run again what was cancelled: %s", (label, picks, words) => {
    const job = { ...NO_JOB, id: 1, state: "cancelled", label, done: 3, total: 9 };
    open({ ...TRAITS, selection: ["L1H1.z"].slice(0, picks), job });
    expect(find(".pw-job", HTMLElement).textContent).toContain(words);
    find(".pw-retry", HTMLButtonElement).click();
    expect(host.sent.at(-1)?.kind).toBe("job.retry");
  });

  test.each(["L1H1.z", "estimates: AtP, noising"])(
    "a newer wish is no news: %s",
    (label) => {
      const job = { ...NO_JOB, id: 1, state: "cancelled", label };
      open({ ...TRAITS, selection: [], job });
      expect(find(".pw-job", HTMLElement).childElementCount).toBe(0);
    },
  );

  test("shows an error in full, as text", () => {
    const message = "line one\n<b>line two</b>";
    const error = { type: "ValueError", message };
    open({ ...TRAITS, job: { ...NO_JOB, id: 1, state: "failed", error } });
    const shown = find(".pw-job .pw-error", HTMLElement).textContent;
    expect(shown).toContain("ValueError");
    expect(shown).toContain(message);
  });

  test("is empty without a job", () => {
    open();
    expect(find(".pw-job", HTMLElement).childElementCount).toBe(0);
  });
});

describe("two outputs of one widget", () => {
  test("agree on picks, and hover apart", () => {
    open();
    const second = document.body.appendChild(document.createElement("div"));
    mountWidget(store, second, life.signal);
    const canvas = gridOf("z");
    canvas.dispatchEvent(new MouseEvent("click", at(canvas, 0, 7)));
    expect(second.querySelector('.pw-pick[data-node="L0H7.z"]')).not.toBeNull();
    canvas.dispatchEvent(new MouseEvent("pointermove", at(canvas, 1, 6)));
    const [ours, theirs] = [place, second].map(
      (output) => find(".pw-readout", HTMLElement, output).textContent,
    );
    expect(ours).toContain("L1H6.z");
    expect(theirs).not.toContain("L1H6.z");
  });

  test("end apart, and leave nothing behind", () => {
    open();
    const before = [browser.alive(), host.listenerCount()];
    const second = document.body.appendChild(document.createElement("div"));
    const secondLife = new AbortController();
    mountWidget(store, second, secondLife.signal);
    expect(browser.alive()).toBeGreaterThan(before[0] ?? 0);
    secondLife.abort();
    expect([browser.alive(), host.listenerCount()]).toEqual(before);
    expect(second.childElementCount).toBe(0);
    host.receive("selection", ["L0H0.k"]);
    expect(place.querySelectorAll(".pw-pick")).toHaveLength(1);
    life.abort();
    expect([browser.alive(), host.listenerCount()]).toEqual([0, 0]);
  });
});
