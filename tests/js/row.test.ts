import { describe, expect, test } from "vitest";
import { at, find, host, open as openWidget, place, store } from "./opened";
import { STUDY, TOKENS, TRAITS, VERIFIED } from "./page/data";
import { settle } from "./support";

function open(traits: object = {}, width = 1000): void {
  openWidget({ ...TRAITS, ...traits }, width);
}

/** Opens or closes a part of the page. */
function toggle(section: string): void {
  find(`.${section} .pw-fold`, HTMLElement).click();
}

function asked(kind: string) {
  return host.sent.filter((message) => message.kind === kind);
}

async function reply(message: object | undefined, rest: object, values?: Float32Array) {
  const id = Object(message).id;
  const base = { kind: "reply", id, ok: true, error: null, payload: null };
  host.deliver({ ...base, ...rest }, values ? [values] : []);
  await settle();
}

const ROW = Float32Array.from({ length: TOKENS }, (_, pos) => pos / 100);

async function answerRow(method = "atp"): Promise<void> {
  const payload = { kind: "z", layer: 4, head: 0, method, size: TOKENS };
  await reply(asked("row.get").at(-1), { payload }, ROW);
}

const strip = () => find("canvas.pw-row-grid", HTMLCanvasElement);

describe("the row of a head", () => {
  test("is asked for only when it is looked at, and a head is picked", () => {
    open({ selection: ["L2.resid_pre@10"] });
    expect(find(".pw-row", HTMLElement).hidden).toBe(true);
    toggle("pw-row");
    expect(asked("row.get")).toEqual([]);
    toggle("pw-row");
    store.set("selection", ["L4H0.z"]);
    expect(find(".pw-row", HTMLElement).hidden).toBe(false);
    expect(asked("row.get")).toEqual([]);
    toggle("pw-row");
    expect(asked("row.get")).toMatchObject([{ node: "L4H0.z" }]);
    expect(find(".pw-row .pw-section-title", HTMLElement).textContent).toBe(
      "L4H0 “name mover” by position",
    );
  });

  test("is drawn with its verified cells, and its cells can be picked", async () => {
    const verified = { ...VERIFIED, "L4H0.z@14": VERIFIED["L4H0.z"] };
    open({ selection: ["L4H0.z"], verified });
    toggle("pw-row");
    expect(find(".pw-row-status", HTMLElement).textContent).toContain("Waiting");
    await answerRow();
    expect(find(".pw-row-status", HTMLElement).textContent).toBe("");
    const canvas = strip();
    expect(canvas.dataset).toMatchObject({ rows: "1", cols: `${TOKENS}` });
    canvas.dispatchEvent(new MouseEvent("pointermove", at(canvas, 0, 12)));
    const readout = find(".pw-readout-live", HTMLElement);
    expect(readout.textContent).toContain("L4H0.z@12“name mover”");
    expect(readout.textContent).toContain("estimate +0.120");
    canvas.dispatchEvent(new MouseEvent("pointermove", at(canvas, 0, 14)));
    expect(readout.textContent).toContain("exact +0.271");
    canvas.dispatchEvent(
      new MouseEvent("click", at(canvas, 0, 12, { shiftKey: true })),
    );
    expect(store.selection.value).toEqual(["L4H0.z", "L4H0.z@12"]);
    expect(asked("row.get")).toHaveLength(1);
  });

  test("holds the other kinds when they are picked, or asked for", () => {
    open({ selection: ["L4H0.z"] });
    toggle("pw-row");
    store.set("selection", ["L4H0.z", "L4H0.q"]);
    expect(strip().dataset.rows).toBe("2");
    store.set("selection", ["L4H0.q@3"]);
    expect(strip().dataset.rows).toBe("2");
    const all = find(".pw-row input[type=checkbox]", HTMLInputElement);
    all.click();
    expect(strip().dataset.rows).toBe("5");
    expect(new Set(asked("row.get").map(({ node }) => node))).toEqual(
      new Set(["L4H0.z", "L4H0.q", "L4H0.k", "L4H0.v", "L4H0.pattern"]),
    );
    store.set("selection", ["L3H1.v"]);
    all.click();
    expect(find(".pw-row .pw-section-title", HTMLElement).textContent).toContain(
      "L3H1",
    );
  });

  test("is opened by a key on a cell that is not picked, until the next pick", () => {
    open({ selection: [] });
    const canvas = find('canvas.pw-grid[data-kind="q"]', HTMLCanvasElement);
    canvas.focus();
    const event = { bubbles: true, cancelable: true };
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", ...event }));
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "r", ...event }));
    expect(asked("row.get")).toMatchObject([{ node: "L1H0.q" }]);
    expect(host.written).toEqual([["folds", ["neurons", "circuit"]]]);
    store.set("selection", ["L4H0.z"]);
    expect(asked("row.get").at(-1)).toMatchObject({ node: "L4H0.z" });
  });

  test("says whose estimates they are, and why there are none", async () => {
    open({ selection: ["L4H0.z"], method: "graddrop" });
    toggle("pw-row");
    await answerRow("atp");
    expect(find(".pw-row .pw-line-head", HTMLElement).textContent).toContain(
      "from AtP",
    );
    store.set("selection", ["L3H1.z"]);
    const error = { type: "ValueError", message: "<b>no</b>" };
    await reply(asked("row.get").at(-1), { ok: false, error });
    const status = find(".pw-row-status", HTMLElement);
    expect(status.textContent).toContain("No row of L3H1.z: <b>no</b>");
    status.querySelector("button")?.click();
    expect(asked("row.get")).toHaveLength(3);
  });

  test("is asked for again after a new study", async () => {
    open({ selection: ["L4H0.z"] });
    toggle("pw-row");
    await answerRow();
    host.receive("study", { ...STUDY, model: "other" });
    expect(asked("row.get")).toHaveLength(2);
  });

  test("is opened and closed by the trait, in every output", async () => {
    open({ selection: ["L4H0.z"] });
    expect(asked("row.get")).toEqual([]);
    host.receive("folds", ["neurons", "circuit"]);
    expect(asked("row.get")).toMatchObject([{ node: "L4H0.z" }]);
    toggle("pw-row");
    expect(host.get("folds")).toEqual(["neurons", "circuit", "row"]);
  });
});

describe("the neurons", () => {
  const names = ["L4.neuron@14#565", "L1.neuron@10#153"];
  const rows = () => [...place.querySelectorAll<HTMLElement>(".pw-neuron")];

  async function answer(): Promise<void> {
    const payload = { method: "atp", names, total: 12800, layers: 5 };
    await reply(
      asked("neurons.get").at(-1),
      { payload },
      Float32Array.from([0.5, -0.25]),
    );
  }

  test("are asked for when their list is opened", async () => {
    open();
    expect(asked("neurons.get")).toEqual([]);
    toggle("pw-neurons");
    expect(asked("neurons.get")).toMatchObject([{ top: 20, layer: null }]);
    await answer();
    const texts = rows().map(({ textContent }) => textContent);
    expect(texts).toEqual(["1L4.neuron@14#565END+0.500", "2L1.neuron@10#153S2−0.250"]);
    expect(find(".pw-neurons", HTMLElement).textContent).toContain(
      "the first 2 of 12,800, estimated by AtP",
    );
  });

  test("are picked by a click, keep their place, and show what is exact", async () => {
    open({ selection: [] });
    toggle("pw-neurons");
    await answer();
    const [first] = rows();
    const choose = first?.querySelector("button");
    choose?.focus();
    choose?.click();
    expect(store.selection.value).toEqual([names[0]]);
    expect(choose?.getAttribute("aria-pressed")).toBe("true");
    host.receive("verified", { [`${names[0]}`]: VERIFIED["L4H0.z"] });
    expect(first?.textContent).toContain("+0.271");
    expect(document.activeElement).toBe(choose);
  });

  test("of one layer, and more of them, are asked for anew", async () => {
    open();
    toggle("pw-neurons");
    await answer();
    const layer = find(".pw-neurons select", HTMLSelectElement);
    layer.value = "3";
    layer.dispatchEvent(new Event("change"));
    expect(asked("neurons.get").at(-1)).toMatchObject({ top: 20, layer: 3 });
    expect(rows()).toHaveLength(2);
    await answer();
    find(".pw-neurons-foot button", HTMLButtonElement).click();
    expect(asked("neurons.get").at(-1)).toMatchObject({ top: 40, layer: 3 });
  });

  test("that cannot be had say why", async () => {
    open();
    toggle("pw-neurons");
    const error = { type: "ValueError", message: "this model has no neurons" };
    await reply(asked("neurons.get").at(-1), { ok: false, error });
    const foot = find(".pw-neurons-foot", HTMLElement);
    expect(foot.textContent).toContain("this model has no neurons");
    foot.querySelector("button")?.click();
    expect(asked("neurons.get")).toHaveLength(2);
  });
});
