import { describe, expect, test, vi } from "vitest";
import { boxOf, isInside, nearest } from "../../js/draw/hits";
import { squareScale } from "../../js/draw/scale";
import { focusNodes } from "../../js/state/focus";
import { KINDS, type Kind } from "../../js/state/node";
import { type Grid, readVerified, type Verified } from "../../js/state/results";
import { cloudValues, makeCloud, steps } from "../../js/state/scatter";
import { KIND_MARKS } from "../../js/views/kinds";
import { stepped } from "../../js/views/points";
import { browser, find, host, open, place, store } from "./opened";
import { CASES } from "./page/cases";
import { grid, REPORT, TRAITS, verified } from "./page/data";

describe("the square's scale", () => {
  test("is the same for both axes, and holds every number and zero", () => {
    const scale = squareScale([0.5, 2, Number.NaN, Number.POSITIVE_INFINITY], 300);
    expect(scale.x(2) - scale.x(0.5)).toBeCloseTo(scale.y(0.5) - scale.y(2), 9);
    expect(scale.x(0)).toBeGreaterThan(0);
    expect(scale.x(2)).toBeLessThan(300);
    expect(scale.high).toBeLessThan(3);
    expect(scale.ticks).toContain(0);
  });

  test.each([[[]], [[0, 0]], [[Number.NaN]]])("of %j has a middle", (values) => {
    const scale = squareScale(values, 100);
    expect([scale.x(0), scale.y(0)]).toEqual([50, 50]);
    expect(scale.ticks.length).toBeGreaterThan(1);
  });

  test("has the origin where the diagonal crosses it, with a lone negative value", () => {
    const scale = squareScale([-4], 108);
    expect(scale.x(-4)).toBeCloseTo(108 - scale.y(-4), 9);
    expect(scale.x(0)).toBeCloseTo(104, 9);
  });
});

describe("hits", () => {
  const points = [
    { x: 10, y: 10 },
    { x: 20, y: 10 },
    { x: 20, y: 10 },
  ];

  test("find the nearest point within reach, and the one on top of equals", () => {
    expect(nearest(points, { x: 13, y: 10 }, 5)).toBe(0);
    expect(nearest(points, { x: 19, y: 11 }, 5)).toBe(2);
    expect(nearest(points, { x: 10, y: 16 }, 5)).toBeNull();
    expect(nearest([], { x: 0, y: 0 }, 5)).toBeNull();
  });

  test("of a rectangle do not ask where the drag began, and hold its edge", () => {
    const box = boxOf({ from: { x: 20, y: 12 }, to: { x: 5, y: 10 } });
    expect(box).toEqual({ left: 5, top: 10, width: 15, height: 2 });
    expect(points.map((point) => isInside(point, box))).toEqual([true, true, true]);
    expect(isInside({ x: 4.9, y: 11 }, box)).toBe(false);
    expect(isInside({ x: 10, y: 12.1 }, box)).toBe(false);
  });
});

function makeGrid(kind: Kind, values: number[], isSigned = true): Grid {
  const columns = values.length;
  return {
    kind,
    method: "atp",
    isSigned,
    rows: 1,
    columns,
    values: Float32Array.from(values),
    spread: null,
  };
}

function result(estimate: number | null, exact: unknown, interval: unknown = null) {
  const rest = { raw: exact, per_pair: [], halves: null, interval };
  return readVerified({ estimate, exact, ...rest }, "verified");
}

describe("the nodes in focus", () => {
  const grids = new Map<Kind, Grid>([
    ["z", makeGrid("z", [0.5, Number.NaN, -0.25])],
    ["q", makeGrid("q", [0.5, 0.25], false)],
  ]);

  test("are those of one kind, or of all kinds with a grid", () => {
    expect(focusNodes(grids, new Map(), "q").map(({ name }) => name)).toEqual([
      "L0H0.q",
      "L0H1.q",
    ]);
    expect(focusNodes(grids, new Map(), "")).toHaveLength(5);
    expect(focusNodes(grids, new Map(), "v")).toEqual([]);
  });

  test("hold finer verified nodes, once each, and no kind that is not shown", () => {
    const known = new Map<string, Verified>([
      ["L0H1.q@3", result(0.2, 0.1)],
      ["L0H0.q", result(0.4, 0.1)],
      ["L0H0.v", result(0.4, 0.1)],
      ["nonsense", result(0.4, 0.1)],
    ]);
    const nodes = focusNodes(grids, known, "q");
    expect(nodes.map(({ name, hasCell }) => [name, hasCell])).toEqual([
      ["L0H0.q", true],
      ["L0H1.q", true],
      ["L0H1.q@3", false],
    ]);
  });

  test("compare sizes where the estimate is one", () => {
    const known = new Map([["L0H0.q", result(0.5, -0.375, [-0.5, -0.25])]]);
    const [node] = focusNodes(grids, known, "q");
    expect(node).toMatchObject({ exact: -0.375, compared: 0.375, miss: 0.125 });
    expect(node?.interval).toEqual([0.25, 0.5]);
    const around = new Map([["L0H0.q", result(0.5, 0.1, [-0.25, 0.125])]]);
    expect(focusNodes(grids, around, "q")[0]?.interval).toEqual([0, 0.25]);
  });

  test("have no miss where a number is missing", () => {
    const known = new Map([
      ["L0H0.z", result(null, "nan")],
      ["L0H1.z", result(null, 0.5)],
      ["L0H2.z", result(0.25, 0.5, ["nan", 1])],
    ]);
    const nodes = focusNodes(grids, known, "z");
    expect(nodes.map(({ miss }) => miss)).toEqual([null, null, 0.25]);
    expect(nodes[2]?.interval).toBeNull();
    const cloud = makeCloud(nodes);
    expect(cloud).toMatchObject({ rug: [], undrawn: 2 });
    expect([...cloudValues(cloud)]).toEqual([0.25, 0.5]);
  });

  test("are gone through by miss, then by estimate", () => {
    const known = new Map([
      ["L0H0.z", result(0.5, 0.4)],
      ["L0H2.z", result(-0.25, 0.5)],
    ]);
    const order = steps(makeCloud(focusNodes(grids, known, "")));
    expect(order).toEqual(["L0H2.z", "L0H0.z", "L0H0.q", "L0H1.q"]);
    expect(stepped(order, null, "ArrowRight")).toBe("L0H2.z");
    expect(stepped(order, "L0H2.z", "ArrowDown")).toBe("L0H0.z");
    expect(stepped(order, "L0H2.z", "ArrowUp")).toBe("L0H2.z");
    expect(stepped(order, "L0H2.z", "End")).toBe("L0H1.q");
    expect(stepped(order, "L0H1.q", "ArrowRight")).toBe("L0H1.q");
    expect(stepped(order, "gone", "ArrowRight")).toBe("L0H2.z");
    expect(stepped([], null, "ArrowRight")).toBeUndefined();
    expect(stepped(order, null, "x")).toBeUndefined();
  });
});

test("every family has a shape of its own: colour is not needed", () => {
  const shapes = KINDS.map((kind) => [
    kind.startsWith("resid") ? "resid" : kind,
    KIND_MARKS[kind].shape,
  ]);
  const families = new Map(shapes.map(([family = "", shape]) => [family, shape]));
  expect(new Set(families.values()).size).toBe(families.size);
});

describe("the scatter", () => {
  const section = () => find(".pw-scatter", HTMLElement);
  const canvas = () => find("canvas.pw-cloud", HTMLCanvasElement);
  const spot = () => find(".pw-spot", HTMLElement);

  /** Where a node is drawn, as the view computes it. */
  function pointOf(name: string) {
    const cloud = makeCloud(store.focus.peek());
    const size = Number.parseFloat(canvas().style.width);
    const scale = squareScale(cloudValues(cloud), size);
    const dot = cloud.dots.find((one) => one.name === name);
    if (dot) return { x: scale.x(dot.estimate), y: scale.y(dot.compared) };
    const mark = cloud.rug.find((one) => one.name === name);
    if (!mark) throw new Error(`${name} is not drawn`);
    return { x: scale.x(mark.estimate), y: size + 8 };
  }

  function point(
    type: string,
    at: { x: number; y: number },
    init: object = {},
    pointerType = "mouse",
  ): void {
    const more = { clientX: at.x, clientY: at.y, bubbles: true, button: 0, buttons: 1 };
    // jsdom has no pointer events: a mouse event with what they add.
    const event = new MouseEvent(type, { ...more, ...init });
    canvas().dispatchEvent(Object.assign(event, { pointerId: 1, pointerType }));
  }

  function drag(from: { x: number; y: number }, to: { x: number; y: number }) {
    point("pointerdown", from);
    point("pointermove", to);
  }

  function press(key: string): void {
    canvas().dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  }

  const corner = { x: 0, y: 0 };
  const far = () => {
    const size = Number.parseFloat(canvas().style.width);
    return { x: size, y: size };
  };

  test("draws dots for verified nodes, and a rug for the others", () => {
    open({ ...TRAITS, kind: "z" });
    expect(canvas().dataset).toMatchObject({ dots: "3", rug: "37", drawn: "" });
    expect(section().hidden).toBe(false);
    expect(canvas().getAttribute("aria-label")).toContain("37 unverified nodes");
    expect(canvas().getAttribute("aria-label")).toContain("effects as additive");
  });

  test.each(Object.keys(CASES))("survives the case “%s”", (name) => {
    open(CASES[name]?.());
    expect(section().hidden).toBe(name === "empty");
  });

  test("says what to do where nothing is verified, and why there is no bound", () => {
    open(CASES.unverified?.());
    expect(section().textContent).toContain("Nothing is verified yet");
    expect(section().textContent).toContain("No bound on the others: no random sets");
    expect(canvas().dataset).toMatchObject({ dots: "0", rug: "40" });
  });

  test("shows figures, and says where one is not defined", () => {
    open({ ...TRAITS, kind: "z" });
    const row = find(".pw-agreement tbody tr", HTMLTableRowElement);
    expect([...row.cells].map(({ textContent }) => textContent)).toEqual([
      "Head output",
      "3 of 40",
      "0.91",
      "0.87",
      "0.50",
      "1.00",
      "–",
    ]);
    expect(section().textContent).toContain("verified nodes only");
    expect(section().textContent).toContain("It takes effects as additive.");
    host.receive("kind", "q");
    expect(section().textContent).toContain("No figures of agreement yet");
  });

  test("names sizes as sizes", () => {
    open({ ...(CASES.sizes?.() ?? {}), kind: "z" });
    const titles = [...section().querySelectorAll(".pw-axis-title")];
    const words = titles.map(({ textContent }) => textContent);
    expect(words).toEqual(["estimate (GradDrop)", "|exact effect|"]);
    host.receive("kind", "resid_pre");
    const now = section().querySelectorAll(".pw-axis-title")[1];
    expect(now?.textContent).toBe("exact effect");
  });

  test("counts what it cannot draw", () => {
    const values = [Number.NaN, 0.5, 0.25];
    open({
      ...TRAITS,
      grids: grid("z", ["layer", "head"], [1, 3], (_, column) => values[column] ?? 0),
      verified: { "L0H2.z": { ...verified(0.25, 0, 1), exact: "nan" } },
    });
    expect(section().textContent).toContain("2 nodes without a number: not drawn.");
    expect(canvas().dataset).toMatchObject({ dots: "0", rug: "1" });
  });

  test("of one node, and of zeros alone, has its marks inside", () => {
    open({
      ...TRAITS,
      grids: grid("z", ["layer", "head"], [1, 1], () => 0),
      verified: { "L0H0.z": verified(0, 0, 1) },
      selection: [],
    });
    const at = pointOf("L0H0.z");
    expect(at).toEqual({ x: far().x / 2, y: far().y / 2 });
    point("click", at);
    expect(store.selection.value).toEqual(["L0H0.z"]);
  });

  test("links hover both ways, and draws nothing anew for it", () => {
    open({ ...TRAITS, kind: "z" });
    const before = browser.calls(canvas());
    const count = before.length;
    point("pointermove", pointOf("L3H1.z"), { buttons: 0 });
    expect(store.selection.value).toEqual(TRAITS.selection);
    expect(find(".pw-readout", HTMLElement).textContent).toContain("L3H1.z");
    expect(find(".pw-tip", HTMLElement).textContent).toContain("miss 0.237");
    point("pointerleave", corner);
    expect(spot().hidden).toBe(true);
    const heatmap = find('canvas.pw-grid[data-kind="z"]', HTMLCanvasElement);
    const cell = Number.parseFloat(heatmap.style.width) / 8;
    const at = { clientX: 1.5 * cell, clientY: 3.5 * cell };
    const row = Number.parseFloat(heatmap.style.height) / 5;
    heatmap.dispatchEvent(new MouseEvent("pointermove", { ...at, clientY: 3.5 * row }));
    const { x, y } = pointOf("L3H1.z");
    expect(spot().hidden).toBe(false);
    expect(spot().style.transform).toBe(`translate(${x}px, ${y}px)`);
    expect(browser.calls(canvas())).toBe(before);
    expect(before).toHaveLength(count);
    expect([host.sent.length, host.written]).toEqual([1, []]);
  });

  test("a hovered node without a place lights nothing", () => {
    open({ ...TRAITS, kind: "z" });
    const heatmap = find('canvas.pw-grid[data-kind="q"]', HTMLCanvasElement);
    heatmap.dispatchEvent(new MouseEvent("pointermove", { clientX: 3, clientY: 3 }));
    expect(spot().hidden).toBe(true);
  });

  test("a click picks one node, with a modifier one more; beside it, none", () => {
    open({ ...TRAITS, kind: "z" });
    point("click", pointOf("L3H1.z"));
    expect(store.selection.value).toEqual(["L3H1.z"]);
    point("click", pointOf("L4H3.z"), { shiftKey: true });
    expect(store.selection.value).toEqual(["L3H1.z", "L4H3.z"]);
    point("click", { x: 3, y: 3 });
    expect(store.selection.value).toHaveLength(2);
    point("click", pointOf("L4H6.z"));
    expect(store.selection.value).toEqual(["L4H6.z"]);
  });

  test("a drag picks what is inside, in one write at its end", () => {
    open({ ...TRAITS, kind: "z", selection: ["L0H0.q"] });
    drag(corner, far());
    expect(find(".pw-brush", HTMLElement).textContent).toBe("3 nodes");
    expect(host.written).toEqual([]);
    point("pointerup", far(), { shiftKey: true });
    point("click", far());
    expect(host.written).toHaveLength(1);
    expect(new Set(store.selection.value)).toEqual(
      new Set(["L0H0.q", "L4H0.z", "L3H1.z", "L4H3.z"]),
    );
    const at = pointOf("L4H3.z");
    drag({ x: at.x - 5, y: at.y - 5 }, { x: at.x + 5, y: at.y + 5 });
    point("pointerup", { x: at.x + 5, y: at.y + 5 });
    expect(store.selection.value).toEqual(["L4H3.z"]);
    expect(find(".pw-brush", HTMLElement).hidden).toBe(true);
  });

  test("a drag is given up by Escape, and by a button let go elsewhere", () => {
    open({ ...TRAITS, kind: "z" });
    drag(corner, far());
    press("Escape");
    expect(find(".pw-brush", HTMLElement).hidden).toBe(true);
    point("pointerup", far());
    drag(corner, far());
    point("pointermove", far(), { buttons: 0 });
    point("pointerup", far());
    expect(host.written).toEqual([]);
    press("Escape");
    expect(host.written).toEqual([["selection", []]]);
  });

  test("an empty drag, a slip and a finger leave the picks alone", () => {
    open({ ...TRAITS, kind: "z" });
    drag(corner, { x: 20, y: 20 });
    point("pointerup", { x: 20, y: 20 });
    drag(corner, { x: 2, y: 2 });
    expect(find(".pw-brush", HTMLElement).hidden).toBe(true);
    point("pointerup", { x: 2, y: 2 });
    point("pointerdown", corner, {}, "touch");
    point("pointermove", far(), {}, "touch");
    point("pointerup", far(), {}, "touch");
    expect(host.written).toEqual([]);
  });

  test("a finger that was held draws, and adds to the picks", () => {
    vi.useFakeTimers();
    open({ ...TRAITS, kind: "z", selection: ["L0H0.z"] });
    point("pointerdown", corner, { buttons: 1 }, "touch");
    vi.advanceTimersByTime(500);
    point("pointermove", far(), { buttons: 1 }, "touch");
    expect(find(".pw-brush", HTMLElement).hidden).toBe(false);
    const scroll = new Event("touchmove", { bubbles: true, cancelable: true });
    canvas().dispatchEvent(scroll);
    expect(scroll.defaultPrevented).toBe(true);
    point("pointerup", far(), {}, "touch");
    expect(host.written).toHaveLength(1);
    const picks = store.selection.peek();
    expect(picks[0]).toBe("L0H0.z");
    expect(picks.length).toBeGreaterThan(1);
    const later = new Event("touchmove", { bubbles: true, cancelable: true });
    point("pointerdown", corner, { buttons: 1 }, "touch");
    canvas().dispatchEvent(later);
    expect(later.defaultPrevented).toBe(false);
  });

  test("a drag along the rug picks what is not verified", () => {
    open({ ...TRAITS, kind: "z", selection: [] });
    const at = pointOf("L4H6.z");
    drag({ x: at.x - 3, y: at.y }, { x: at.x + 3, y: at.y + 4 });
    expect(find(".pw-brush", HTMLElement).textContent).toBe("run 1 node");
    point("pointerup", { x: at.x + 3, y: at.y + 4 });
    expect(store.selection.value).toEqual(["L4H6.z"]);
  });

  test("by keyboard goes from the largest miss on, and picks", () => {
    open({ ...TRAITS, kind: "z", selection: [] });
    press("ArrowRight");
    expect(find(".pw-readout", HTMLElement).textContent).toContain("L3H1.z");
    press("ArrowRight");
    press("Enter");
    expect(store.selection.value).toEqual(["L4H0.z"]);
    press(" ");
    expect(store.selection.value).toEqual([]);
  });

  test("shares the kind in focus, and says when none of it is shown", () => {
    open();
    const selects = [...place.querySelectorAll<HTMLSelectElement>("select.pw-kind")];
    expect(selects).toHaveLength(2);
    const [first, second] = selects;
    if (!first || !second) throw new Error("no selects");
    first.value = "q";
    first.dispatchEvent(new Event("change"));
    expect(second.value).toBe("q");
    expect(host.written).toEqual([["kind", "q"]]);
    expect(canvas().dataset.dots).toBe("1");
    host.receive("kind", "resid_mid");
    expect(first.value).toBe("resid_mid");
    expect(find(".pw-scatter-parts", HTMLElement).hidden).toBe(true);
    expect(section().hidden).toBe(false);
  });

  test("is drawn anew when a result comes, and follows a new report", () => {
    open({ ...TRAITS, kind: "z" });
    const known = host.get("verified") as object; // a record, set above
    host.receive("verified", { ...known, "L0H0.z": verified(0.1, 0.2, 1) });
    expect(canvas().dataset).toMatchObject({ dots: "4", rug: "36" });
    host.receive("report", {
      z: { ...REPORT.z, bound: null, without_bound: "too few" },
    });
    expect(section().textContent).toContain("No bound on the others: too few.");
    expect(canvas().getAttribute("aria-label")).toContain("No bound: too few");
  });

  test("says of a bound how many of its nodes were verified since", () => {
    const bound = { ...REPORT.z.bound, kinds: ["z", "q"] };
    const q = { ...REPORT.z, total: 10, idle: 2, verified: 8, bound };
    // Unverified now: 40 - 3 of z and 10 - 2 - 8 of q, as when the bound was drawn.
    open({ ...TRAITS, kind: "z", report: { z: { ...REPORT.z, bound }, q } });
    expect(section().textContent).not.toContain("drawn before");
    host.receive("report", { z: { ...REPORT.z, verified: 8, bound }, q });
    expect(section().textContent).toContain("drawn before 5 of these were verified");
    expect(canvas().getAttribute("aria-label")).toContain("drawn before 5");
  });
});
