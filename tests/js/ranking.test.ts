import { describe, expect, test, vi } from "vitest";
import { rowWindow, scrollFor } from "../../js/draw/rows";
import { filterRows } from "../../js/state/filter";
import { type FocusNode, focusNodes } from "../../js/state/focus";
import { type Kind, parseNode } from "../../js/state/node";
import {
  clickedSort,
  firstSort,
  headNicknames,
  rankingRows,
  ranks,
  SORT_COLUMNS,
  sortRows,
} from "../../js/state/ranking";
import { find, host, open as openWidget, place, store } from "./opened";
import { CASES } from "./page/cases";
import { TRAITS, verified } from "./page/data";
import { settle } from "./support";

function node(name: string) {
  const found = parseNode(name);
  if (!found) throw new Error(`${name} is no node`);
  return found;
}

function focusNode(
  name: string,
  estimate: number | null,
  exact: number | null = null,
): FocusNode {
  const miss = estimate === null || exact === null ? null : Math.abs(exact - estimate);
  return {
    name,
    node: node(name),
    hasCell: !name.startsWith("L9"),
    isSigned: true,
    estimate,
    exact,
    compared: exact,
    interval: null,
    miss: Number.isNaN(miss) ? null : miss,
  };
}

describe("ranks", () => {
  test("go by size, share places, and leave out what is no number", () => {
    expect(ranks([0.1, -0.5, null, 0.1, Number.NaN, 0])).toEqual([
      2,
      1,
      null,
      2,
      null,
      4,
    ]);
    expect(ranks([0, 0, 0])).toEqual([1, 1, 1]);
    expect(ranks([1, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY])).toEqual([
      3, 1, 1,
    ]);
    expect(ranks([])).toEqual([]);
  });

  test("change by what is known: exact effects where they are", () => {
    const rows = rankingRows(
      [
        focusNode("L0H0.z", 0.9, 0.1),
        focusNode("L0H1.z", -0.5),
        focusNode("L0H2.z", 0.2, -0.6),
        focusNode("L9H0.z@3", 0.8, 0.8),
        focusNode("L0H3.z", 0.05, Number.NaN),
      ],
      {},
      null,
    );
    expect(rows.map(({ rank }) => rank)).toEqual([1, 2, 3, null, 4]);
    expect(rows.map(({ knownRank }) => knownRank)).toEqual([3, 2, 1, null, null]);
    expect(rows.map(({ change }) => change)).toEqual([-2, 0, 2, null, null]);
  });
});

describe("the user's name of a head", () => {
  const names = { L9H4: "name mover", L9H5: "backup", L9H6: "name mover" };

  test("stands at all its nodes, and at no residual stream", () => {
    const at = (name: string) =>
      headNicknames(node(name), names, { heads: 8, kvHeads: 8 });
    expect(at("L9H4.q@12")).toBe("name mover");
    expect(at("L9H7.q")).toBe("");
    expect(at("L9.resid_pre@4")).toBe("");
  });

  test("of a KV head is that of its query heads, each once", () => {
    const counts = { heads: 8, kvHeads: 2 };
    expect(headNicknames(node("L9H1.k"), names, counts)).toBe("name mover, backup");
    expect(headNicknames(node("L9H4.q"), names, counts)).toBe("name mover");
    expect(headNicknames(node("L9H0.v"), names, counts)).toBe("");
  });
});

describe("sorting", () => {
  const rows = rankingRows(
    [
      focusNode("L2H0.z", Number.NaN),
      focusNode("L1H10.z", -0.5, 0.1),
      focusNode("L1H2.z", 0.2),
      focusNode("L1.resid_pre@4", null, Number.NaN),
      focusNode("L0H0.q", 0.2, 0.2),
    ],
    {},
    null,
  );
  const sorted = (column: (typeof SORT_COLUMNS)[number], isDescending: boolean) =>
    sortRows(rows, { column, isDescending }).map(({ name }) => name);

  test("has what is missing last, whichever way", () => {
    const first = ["L1H2.z", "L0H0.q", "L1H10.z"];
    const last = ["L2H0.z", "L1.resid_pre@4"];
    expect(sorted("estimate", true)).toEqual([...first, ...last]);
    expect(sorted("estimate", false)).toEqual(["L1H10.z", "L1H2.z", "L0H0.q", ...last]);
    expect(sorted("exact", true).slice(0, 2)).toEqual(["L0H0.q", "L1H10.z"]);
    expect(sorted("miss", true)[0]).toBe("L1H10.z");
    expect(sorted("miss", false)[0]).toBe("L0H0.q");
  });

  test("by node goes by layer, then as in the heatmaps, with numbers as numbers", () => {
    const order = ["L0H0.q", "L1.resid_pre@4", "L1H2.z", "L1H10.z", "L2H0.z"];
    expect(sorted("node", false)).toEqual(order);
    expect(sorted("node", true)).toEqual(order.toReversed());
  });

  test("loses no row, and leaves the rows as they were", () => {
    const before = rows.map(({ name }) => name);
    for (const column of SORT_COLUMNS) {
      for (const way of [true, false]) {
        expect(new Set(sorted(column, way))).toEqual(new Set(before));
      }
    }
    expect(rows.map(({ name }) => name)).toEqual(before);
  });

  test("by a header begins with what matters, and turns round", () => {
    const first = clickedSort(firstSort("rank"), "miss");
    expect(first).toEqual({ column: "miss", isDescending: true });
    expect(clickedSort(first, "miss")).toEqual({ column: "miss", isDescending: false });
    expect(clickedSort(first, "rank")).toEqual({ column: "rank", isDescending: false });
  });
});

describe("the filter", () => {
  const labels: Record<string, string> = {
    "L9H9.q": "Name Mover",
    "L9H9.q@12": "Name Mover",
  };
  const rows = [
    "L9H9.q",
    "L9H9.q@12",
    "L9H9.z",
    "L5.resid_pre@12",
    "L5H9.pattern@14,12",
    "L15H5.k",
    "L12H12.v",
  ].map((name) => ({ name, label: labels[name] ?? "", node: node(name) }));
  const positions = new Map([
    [12, "S2/END"],
    [14, "IO"],
  ]);
  const found = (typed: string) =>
    filterRows(rows, typed, positions).map(({ name }) => name);

  test.each([
    ["9.9", ["L9H9.q", "L9H9.q@12", "L9H9.z"]],
    ["L9H9", ["L9H9.q", "L9H9.q@12", "L9H9.z"]],
    ["9.9.q", ["L9H9.q", "L9H9.q@12"]],
    ["L9H9.q", ["L9H9.q", "L9H9.q@12"]],
    ["l9h9.Q@12", ["L9H9.q@12"]],
    ["L5", ["L5.resid_pre@12", "L5H9.pattern@14,12"]],
    ["L5.resid_pre", ["L5.resid_pre@12"]],
    ["H9", ["L9H9.q", "L9H9.q@12", "L9H9.z", "L5H9.pattern@14,12"]],
    ["5", ["L5.resid_pre@12", "L5H9.pattern@14,12", "L15H5.k"]],
    ["q", ["L9H9.q", "L9H9.q@12"]],
    ["resid", ["L5.resid_pre@12"]],
    ["@12", ["L9H9.q@12", "L5.resid_pre@12", "L5H9.pattern@14,12"]],
    ["@14,12", ["L5H9.pattern@14,12"]],
    ["@14,", ["L5H9.pattern@14,12"]],
    ["@12,14", []],
    ["@end", ["L9H9.q@12", "L5.resid_pre@12", "L5H9.pattern@14,12"]],
    ["@S2 q", ["L9H9.q@12"]],
    ["@nowhere", []],
    ["name mover", ["L9H9.q", "L9H9.q@12"]],
    ["mover @12 9.9", ["L9H9.q@12"]],
    ["L5 pattern", ["L5H9.pattern@14,12"]],
    ["q z", []],
    ["[(", []],
    ["12", ["L9H9.q@12", "L5.resid_pre@12", "L5H9.pattern@14,12", "L12H12.v"]],
  ])("“%s”", (typed, names) => {
    expect(found(typed)).toEqual(names);
  });

  test.each(["", "   ", "@"])("“%s” is no filter yet", (typed) => {
    expect(found(typed)).toHaveLength(rows.length);
  });
});

describe("the rows in sight", () => {
  const port = { top: 0, height: 240, rowHeight: 24 };

  test("are those within the box, with some to spare, and never too many", () => {
    expect(rowWindow(port, 3000)).toEqual({ start: 0, end: 16 });
    expect(rowWindow({ ...port, top: 2400 }, 3000)).toEqual({ start: 94, end: 116 });
    expect(rowWindow({ ...port, top: 1e9 }, 3000)).toEqual({ start: 3000, end: 3000 });
    expect(rowWindow(port, 2)).toEqual({ start: 0, end: 2 });
    expect(rowWindow(port, 0)).toEqual({ start: 0, end: 0 });
  });

  test("move no further than they must", () => {
    expect(scrollFor(3, port)).toBe(0);
    expect(scrollFor(9, port)).toBe(0);
    expect(scrollFor(10, port)).toBe(24);
    expect(scrollFor(3, { ...port, top: 100 })).toBe(72);
  });
});

test("finer nodes have a row, but no place among the cells", () => {
  const values = Float32Array.from([0.5, 0.25]);
  const shape = { rows: 1, columns: 2, values, spread: null };
  const grids = new Map([
    ["q" as Kind, { kind: "q" as Kind, method: "atp", isSigned: true, ...shape }],
  ]);
  const known = new Map([
    ["L0H0.q@3", { ...verified(1, 1, 1), perPair: [], halves: null, interval: null }],
  ]);
  const rows = rankingRows(focusNodes(grids, known, ""), {}, null);
  expect(rows.map(({ name, rank }) => [name, rank])).toEqual([
    ["L0H0.q", 1],
    ["L0H1.q", 2],
    ["L0H0.q@3", null],
  ]);
});

describe("the ranking", () => {
  const open = (traits: object = { ...TRAITS, kind: "z" }) => openWidget(traits);

  const section = () => find(".pw-ranking", HTMLElement);
  const table = () => find(".pw-ranking-table", HTMLTableElement);
  const names = () =>
    [...place.querySelectorAll<HTMLElement>(".pw-ranking-row")].map(
      ({ dataset }) => dataset.node,
    );
  const row = (name: string) =>
    find(`.pw-ranking-row[data-node="${name}"]`, HTMLTableRowElement);
  const why = (name: string) => find(".pw-why", HTMLButtonElement, row(name));
  const panel = () => find(".pw-why-panel", HTMLElement);
  const header = (text: string) => {
    const all = [...place.querySelectorAll<HTMLElement>(".pw-sort")];
    const found = all.find(({ textContent }) => textContent.startsWith(text));
    if (!found) throw new Error(`no header ${text}`);
    return found;
  };

  function type(text: string): void {
    const input = find(".pw-filter", HTMLInputElement);
    input.value = text;
    input.dispatchEvent(new Event("input"));
  }

  function press(target: Element, key: string, init: object = {}): KeyboardEvent {
    const more = { key, bubbles: true, cancelable: true, ...init };
    const event = new KeyboardEvent("keydown", more);
    target.dispatchEvent(event);
    return event;
  }

  function asked(): Record<string, unknown>[] {
    return host.sent.filter(({ kind }) => kind === "diagnosis.get");
  }

  async function answer(reply: object): Promise<void> {
    const id = asked().at(-1)?.id;
    host.deliver({ kind: "reply", id, ok: true, error: null, ...reply });
    await settle();
  }

  const causes = [
    { name: "cancellation", consistent: false, words: "the size is <b>0.1</b>" },
    { name: "curvature", consistent: true, words: "the second order is 0.61 times" },
  ];

  test("begins with the largest estimate, and says what is known of it", () => {
    open();
    expect(names().slice(0, 3)).toEqual(["L3H1.z", "L4H3.z", "L4H0.z"]);
    const cells = [...row("L3H1.z").cells].map(({ textContent }) => textContent);
    expect(cells).toEqual(["L3H1.z", "1", "↓4", "+0.425", "+0.188", "0.237", "why?"]);
    expect(row("L4H0.z").cells[0]?.textContent).toBe("L4H0.z name mover");
  });

  test.each(Object.keys(CASES))("survives the case “%s”", (name) => {
    open(CASES[name]?.());
    expect(section().hidden).toBe(name === "empty");
  });

  test("sorts by a click on a header, and says so", () => {
    open();
    header("miss").click();
    expect(names()[0]).toBe("L3H1.z");
    const cell = header("miss").closest("th");
    expect(cell?.getAttribute("aria-sort")).toBe("descending");
    expect(header("rank").closest("th")?.getAttribute("aria-sort")).toBe("none");
    header("miss").click();
    expect(names()[0]).toBe("L4H3.z");
    expect(cell?.getAttribute("aria-sort")).toBe("ascending");
    header("node").click();
    expect(names()[0]).toBe("L0H0.z");
    expect(host.written).toEqual([]);
  });

  test("is filtered without the kernel", () => {
    open({ ...TRAITS, kind: "" });
    type("mover");
    expect(new Set(names())).toEqual(
      new Set(["L4H0.z", "L4H0.q", "L4H0.k", "L4H0.v", "L4H0.pattern"]),
    );
    expect(find(".pw-filter-line [role=status]", HTMLElement).textContent).toBe(
      "5 of 425 nodes",
    );
    type("@s2 L2");
    expect(new Set(names())).toEqual(
      new Set(["L2.resid_pre@10", "L2.attn_out@10", "L2.mlp_out@10"]),
    );
    type("nothing like it");
    expect(names()).toEqual([]);
    expect(section().textContent).toContain("No node fits the filter.");
    expect(host.written).toEqual([]);
    expect(asked()).toEqual([]);
  });

  test("draws of thousands of rows those in sight, and counts them all", () => {
    open(CASES.many?.());
    expect(names().length).toBeLessThan(40);
    expect(table().getAttribute("aria-rowcount")).toBe("3073");
    const box = find(".pw-ranking-box", HTMLElement);
    box.scrollTop = 24 * 1000;
    box.dispatchEvent(new Event("scroll"));
    expect(names().length).toBeLessThan(40);
    const places = [...place.querySelectorAll(".pw-ranking-row")].map((one) =>
      Number(one.getAttribute("aria-rowindex")),
    );
    expect(Math.min(...places)).toBeLessThanOrEqual(1002);
    expect(Math.max(...places)).toBeGreaterThanOrEqual(1013);
    const spacers = [...place.querySelectorAll<HTMLElement>(".pw-spacer")];
    const heights = spacers.map(({ style }) => Number.parseFloat(style.height));
    const total = heights.reduce((sum, height) => sum + height, 0);
    expect(total + 24 * names().length).toBe(24 * 3072);
    type("L3H3.z");
    expect(names()).toEqual(["L3H3.z"]);
  });

  test("shows rows even where it was scrolled beyond what is left", () => {
    open(CASES.many?.());
    const box = find(".pw-ranking-box", HTMLElement);
    box.scrollTop = 24 * 3000;
    box.dispatchEvent(new Event("scroll"));
    host.receive("kind", "z");
    expect(names().length).toBeGreaterThanOrEqual(12);
  });

  test("picks by click, and by shift-click one more", () => {
    open();
    row("L4H6.z").click();
    expect(store.selection.value).toEqual(["L4H6.z"]);
    row("L2H5.z").dispatchEvent(
      new MouseEvent("click", { bubbles: true, shiftKey: true }),
    );
    expect(host.written.at(-1)).toEqual(["selection", ["L4H6.z", "L2H5.z"]]);
    expect(row("L2H5.z").getAttribute("aria-selected")).toBe("true");
    expect(row("L3H1.z").getAttribute("aria-selected")).toBe("false");
  });

  test("by keyboard: arrows move and scroll, Enter and Space toggle", () => {
    open({ ...TRAITS, kind: "z", selection: [] });
    press(table(), "ArrowDown");
    const active = table().getAttribute("aria-activedescendant") ?? "";
    expect(document.getElementById(active)).toBe(row("L4H3.z"));
    expect(find(".pw-readout", HTMLElement).textContent).toContain("L4H3.z");
    expect(press(table(), "Enter").defaultPrevented).toBe(true);
    expect(store.selection.value).toEqual(["L4H3.z"]);
    press(table(), " ");
    expect(store.selection.value).toEqual([]);
    press(table(), "End");
    expect(find(".pw-ranking-box", HTMLElement).scrollTop).toBe(24 * (40 - 20));
    const last = names().at(-1) ?? "";
    expect(row(last).getAttribute("aria-rowindex")).toBe("41");
    press(table(), "Home");
    expect(find(".pw-ranking-box", HTMLElement).scrollTop).toBe(0);
    expect(press(table(), "Tab").defaultPrevented).toBe(false);
    press(header("miss"), "Enter");
    expect(store.selection.value).toEqual([]);
  });

  test("links hover with the heatmaps, both ways", () => {
    open();
    const cell = find("td", HTMLElement, row("L3H1.z"));
    cell.dispatchEvent(new MouseEvent("pointerover", { bubbles: true }));
    expect(find(".pw-readout", HTMLElement).textContent).toContain("L3H1.z");
    expect(row("L3H1.z").classList).toContain("pw-at");
    table().dispatchEvent(new MouseEvent("pointerleave"));
    expect(row("L3H1.z").classList).not.toContain("pw-at");
    const dot = find(".pw-spot", HTMLElement);
    expect(dot.hidden).toBe(true);
    expect([asked(), host.written]).toEqual([[], []]);
  });

  test("follows results that come, with the ranks of all", () => {
    open();
    expect(row("L4H6.z").cells[4]?.textContent).toBe("");
    const known = host.get("verified") as object; // a record, set above
    host.receive("verified", { ...known, "L4H6.z": verified(0.22, 0.9, 1) });
    expect(row("L4H6.z").cells[4]?.textContent).toBe("+0.900");
    expect(row("L4H6.z").cells[2]?.textContent).toMatch(/^↑/);
  });

  test("offers reasons only for a miss", () => {
    open({ ...TRAITS, kind: "z", verified: { "L3H1.z": verified(0.25, 0.25, 1) } });
    expect(why("L3H1.z").hidden).toBe(true);
    expect(why("L4H3.z").hidden).toBe(true);
  });

  test("asks for reasons on demand, once, and shows the answer as text", async () => {
    open();
    expect(asked()).toEqual([]);
    expect(panel().hidden).toBe(true);
    why("L3H1.z").click();
    expect(asked()).toMatchObject([{ node: "L3H1.z" }]);
    expect(host.written).toEqual([]);
    expect(panel().textContent).toContain("Asking the kernel");
    const missing = { "self-repair": "there is a norm" };
    const payload = { node: "L3H1.z", causes, not_looked_at: missing };
    await answer({ payload });
    expect(panel().textContent).toContain("off by 0.237");
    const titles = [...panel().querySelectorAll("summary")];
    expect(titles.map(({ textContent }) => textContent)).toEqual([
      "consistent with curvature",
      "no sign of cancellation",
      "not looked at: self-repair",
    ]);
    expect(panel().querySelector("b")).toBeNull();
    expect(why("L3H1.z").textContent).toBe("curvature");
    why("L3H1.z").click();
    expect(panel().hidden).toBe(true);
    why("L3H1.z").click();
    expect(panel().hidden).toBe(false);
    expect(asked()).toHaveLength(1);
  });

  test("says when the numbers fit no known cause", async () => {
    open();
    why("L3H1.z").click();
    await answer({ payload: { node: "L3H1.z", causes: causes.slice(0, 1) } });
    expect(panel().textContent).toContain("consistent with none of the causes");
    expect(why("L3H1.z").textContent).toBe("none of 1 cause");
  });

  test.each([
    [
      "an error",
      { ok: false, error: { type: "E", message: "<i>no</i>" } },
      "<i>no</i>",
    ],
    ["another node", { payload: { node: "L0H0.z", causes: [] } }, "diagnosis.node"],
    ["nothing", { payload: null }, "diagnosis"],
    [
      "a cause without a verdict",
      { payload: { node: "L3H1.z", causes: [{ name: "x", words: "y" }] } },
      "causes[0].consistent",
    ],
  ])(
    "an answer with %s is shown, and can be asked for again",
    async (_, reply, words) => {
      open();
      why("L3H1.z").click();
      await answer(reply);
      expect(panel().textContent).toContain(words);
      expect(why("L3H1.z").textContent).toBe("no answer");
      find(".pw-why-answer button", HTMLButtonElement).click();
      expect(asked()).toHaveLength(2);
      await answer({ payload: { node: "L3H1.z", causes } });
      expect(panel().textContent).toContain("consistent with curvature");
    },
  );

  test("a kernel that never answers is given up", async () => {
    vi.useFakeTimers();
    open();
    why("L3H1.z").click();
    await vi.advanceTimersByTimeAsync(121_000);
    expect(panel().textContent).toContain("the kernel has not answered for 120 s");
  });

  test.each([
    ["method", "graddrop"],
    ["study", { ...(TRAITS.study as object), model: "other" }],
  ] as const)(
    "answers are forgotten with the %s they are about",
    async (trait, value) => {
      open();
      why("L3H1.z").click();
      await answer({ payload: { node: "L3H1.z", causes } });
      host.receive(trait, value);
      expect(why("L3H1.z").textContent).toBe("why?");
      expect(panel().textContent).toContain("try again");
    },
  );
});
