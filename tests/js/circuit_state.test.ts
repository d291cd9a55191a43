// @vitest-environment node
import { describe, expect, test } from "vitest";
import { paintOf } from "../../js/circuit/cells";
import { isChain } from "../../js/circuit/chain";
import { endPlace, isAt, parseEnd, pickOf, subjectOf } from "../../js/circuit/ends";
import { focused, subjectsOf } from "../../js/circuit/focus";
import { groupsOf, notRun, scaleOf } from "../../js/circuit/groups";
import { circuitReader, type PathResult } from "../../js/circuit/record";
import { NODE_HEIGHT, type Sketch, sketchOf } from "../../js/circuit/sketch";
import { firstStop, nextStop } from "../../js/circuit/walk";
import { makePalette } from "../../js/draw/colour";
import { headPlace } from "../../js/state/place";
import { arrivals, CIRCUIT } from "./page/circuit";

const COUNTS = { heads: 8, kvHeads: 8 };
const GQA = { heads: 8, kvHeads: 2 };

function results(...paths: [writer: string, reader: string, exact: number][]) {
  const entries = paths.map(([writer, reader, exact]): [string, PathResult] => {
    const rest = { estimate: null, interval: null, source: "run" } as const;
    return [`${writer} -> ${reader}`, { writer, reader, exact, ...rest }];
  });
  return new Map(entries);
}

describe("what the kernel tells", () => {
  test("is read in all its parts", () => {
    const found = circuitReader()(CIRCUIT);
    expect(found.problems).toEqual([]);
    expect(found.paths.get("L3H1 -> L4H0.q")?.exact).toBe(0.31);
    expect(found.interactions?.sides.get("noising")?.matrix[0]?.[1]).toBe(0.173);
    expect(found.interactions?.sides.get("noising")?.matrix[0]?.[0]).toBeNaN();
    expect(found.repair?.change[0]?.[0]).toBeNaN();
    expect(found.story?.minimality.get("L4H0.z")).toBe(0.31);
    expect(found.pathStory?.faithfulness).toBe(0.831);
    expect(found.pathStory?.paths).toHaveLength(found.paths.size - 2);
  });

  test("may be nothing, or lack parts", () => {
    for (const value of [undefined, null, {}, { paths: {}, story: null }]) {
      const { problems, paths, story, pathStory } = circuitReader()(value);
      expect([problems, paths.size, story, pathStory]).toEqual([[], 0, null, null]);
    }
  });

  test("that is malformed hides no other part", () => {
    const broken = { ...CIRCUIT.paths, bad: { writer: 3 } };
    const found = circuitReader()({ ...CIRCUIT, paths: broken, story: 7 });
    expect(found.paths.size).toBe(Object.keys(CIRCUIT.paths).length);
    expect(found.story).toBeNull();
    expect(found.repair).not.toBeNull();
    expect(found.problems).toHaveLength(2);
    expect(circuitReader()(5).problems).toEqual(["circuit: expected an object, got 5"]);
  });

  test("again is the same, so that only what is new is drawn anew", () => {
    const read = circuitReader();
    const before = read(CIRCUIT);
    const paths = { "L1H0 -> final": CIRCUIT.paths["L4H0 -> final"] };
    const after = read(structuredClone({ ...CIRCUIT, paths }));
    expect(after.repair).toBe(before.repair);
    expect(after.interactions).toBe(before.interactions);
    expect(after.paths).not.toBe(before.paths);
    expect(read({ story: 7 }).problems).toEqual(read({ story: 7 }).problems);
  });
});

describe("ends of paths", () => {
  test.each([
    ["embed", { part: "embed", layer: null, head: null, port: null, pos: null }],
    ["L1H2@5", { part: "head", layer: 1, head: 2, port: null, pos: 5 }],
    ["L4H0.q", { part: "head", layer: 4, head: 0, port: "q", pos: null }],
    ["L3.mlp", { part: "mlp", layer: 3, head: null, port: null, pos: null }],
    ["final", { part: "final", layer: null, head: null, port: null, pos: null }],
  ])("%s is read", (name, end) => {
    expect(parseEnd(name)).toEqual(end);
  });

  test.each(["", "L1", "L1H2.z", "H2.q", "L1.mlp.q", "<b>", "final.q"])(
    "%j is none",
    (name) => {
      expect(parseEnd(name)).toBeNull();
    },
  );

  test("a KV head stands for the heads that it serves", () => {
    const end = parseEnd("L3H1.k");
    if (!end) throw new Error("no end");
    expect(endPlace(end, GQA)?.heads).toEqual([4, 8]);
    expect(endPlace(end, COUNTS)?.heads).toEqual([1, 2]);
    expect([3, 4, 7].map((head) => isAt(end, headPlace(3, head), GQA))).toEqual([
      false,
      true,
      true,
    ]);
    expect(isAt(end, headPlace(2, 4), GQA)).toBe(false);
    expect([pickOf(end), subjectOf(end)]).toEqual(["L3H1.k", null]);
  });

  test("a head can be picked, an MLP looked at, the ends neither", () => {
    const found = ["L1H2", "L4H0.q", "L3.mlp", "embed"].map((name) => {
      const end = parseEnd(name);
      return end && [pickOf(end), subjectOf(end)];
    });
    expect(found).toEqual([
      ["L1H2.z", "L1H2"],
      ["L4H0.z", "L4H0"],
      [null, "L3.mlp"],
      [null, null],
    ]);
  });
});

describe("what is looked at", () => {
  test("are the heads and MLPs of the picks, the newest first", () => {
    const picks = ["L2H1.z", "L2H1.q", "L1.mlp_out@3", "L3H1.k", "L0.resid_pre@2"];
    expect(subjectsOf(picks, COUNTS)).toEqual(["L2H1", "L1.mlp", "L3H1"]);
    expect(subjectsOf(["L3H1.k"], GQA)).toEqual(["L3H4", "L3H5", "L3H6", "L3H7"]);
    expect(focused(null, picks, COUNTS)).toBe("L3H1");
    expect(focused(null, picks, GQA)).toBe("L3H4");
    expect(focused("L0H0", picks, COUNTS)).toBe("L0H0");
    expect(focused(null, ["L0.resid_pre@2", "?"], COUNTS)).toBeNull();
  });
});

describe("the paths of a head", () => {
  const model = { n_layers: 3, n_heads: 2, n_kv_heads: 1 };
  const counts = { heads: 2, kvHeads: 1 };
  const into = arrivals("L1H1", model);
  const answer = { ...into, into: new Map(Object.entries(into.into)) };

  test("are those into q, k and v, and those out of it", () => {
    const groups = groupsOf("L1H1", answer, new Map(), counts);
    expect(
      groups.map(({ name, subject, rows }) => [name, subject, rows.length]),
    ).toEqual([
      ["q", "L1H1.q", 4],
      ["k", "L1H0.k", 4],
      ["v", "L1H0.v", 4],
      ["out", "L1H1", 8],
    ]);
    const sizes = groups[0]?.rows.map(({ estimate }) => Math.abs(estimate ?? 0)) ?? [];
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    expect(scaleOf(groups)).toBeGreaterThan(0);
  });

  test("of an MLP lead into it and out of it", () => {
    const groups = groupsOf("L1.mlp", null, results(["L0H1", "L1.mlp", 1]), counts);
    expect(groups.map(({ name, rows }) => [name, rows.length])).toEqual([
      ["mlp", 1],
      ["out", 0],
    ]);
  });

  test("that were run are known with and without estimates", () => {
    const known = results(
      ["L0H0", "L1H0.k", -2],
      ["L0H1", "L1H0.k", 3],
      ["L0H0", "L2H0.q", 9],
    );
    const without = groupsOf("L1H1", null, known, counts);
    expect(without[1]?.rows.map(({ end }) => end)).toEqual(["L0H1", "L0H0"]);
    expect(without[3]?.rows).toEqual([]);
    expect(scaleOf(without)).toBe(3);
    const groups = groupsOf("L1H1", answer, known, counts);
    expect(groups[1]?.rows).toHaveLength(4);
    const open = notRun(groups, 100);
    expect(open).toHaveLength(4 + 2 + 4 + 8);
    expect(open).not.toContain("L0H1 -> L1H0.k");
    expect(notRun(groups, 3)).toEqual(open.slice(0, 3));
  });

  test("without a number come last", () => {
    const odd = ["a", "b", "c"].map((end, at) => {
      return { path: `${end} -> L1H1.q`, end, value: [Number.NaN, 0.1, -0.5][at] ?? 0 };
    });
    const groups = groupsOf(
      "L1H1",
      { ...answer, into: new Map([["q", odd]]), out: [] },
      new Map(),
      counts,
    );
    expect(notRun(groups, 9)[2]).toBe("a -> L1H1.q");
    expect(scaleOf(groups)).toBe(0.5);
  });
});

describe("the sketch", () => {
  const extent = { ...COUNTS, width: 600, positionName: (pos: number) => `@${pos}` };

  function at(sketch: ReturnType<typeof sketchOf>, label: string) {
    const node = sketch.nodes.find((one) => one.label === label);
    if (!node) throw new Error(`no ${label}`);
    return node;
  }

  test("has layers going up, and heads by their number", () => {
    const sketch = sketchOf(
      results(
        ["embed", "L1H6.q", 0.1],
        ["L1H6", "L1.mlp", -0.4],
        ["L1H1", "L3H2.v", 0.2],
        ["L3H2", "final", 0.3],
      ),
      extent,
    );
    const order = ["embedding", "L1H6", "L1 MLP", "L3H2", "logits"];
    const heights = order.map((label) => at(sketch, label).y);
    expect(heights).toEqual([...heights].sort((a, b) => b - a));
    expect(new Set(heights).size).toBe(order.length);
    expect(at(sketch, "L1H1").y).toBe(at(sketch, "L1H6").y);
    expect(at(sketch, "L1H1").x).toBeLessThan(at(sketch, "L1H6").x);
    expect(sketch.rows.map(([label]) => label)).toEqual(["layer 1", "layer 3"]);
    expect(sketch.columns).toEqual([]);
    const sizes = sketch.edges.map(({ path, size }) => [path, size] as const);
    expect(sizes[0]?.[0]).toBe("embed -> L1H6.q");
    expect(sizes.at(-1)).toEqual(["L1H6 -> L1.mlp", 7]);
  });

  test("has lines from the top of a writer to what the reader reads with", () => {
    const sketch = sketchOf(
      results(["L0H0", "L1H3.q", 1], ["L0H0", "L1H3.v", -1]),
      extent,
    );
    const [from, to] = [at(sketch, "L0H0"), at(sketch, "L1H3")];
    for (const edge of sketch.edges) {
      expect(edge.from).toEqual([from.x, from.y - NODE_HEIGHT / 2]);
      expect(edge.to[1]).toBe(to.y + NODE_HEIGHT / 2);
    }
    const [q = 0, v = 0] = ["q", "v"].map((port) => {
      return sketch.edges.find(({ path }) => path.endsWith(port))?.to[0];
    });
    expect(q).toBeLessThan(to.x);
    expect(v).toBeGreaterThan(to.x);
  });

  test("keeps crowded heads apart, within its width, which grows if it must", () => {
    for (const heads of [8, 64]) {
      const paths = Array.from({ length: heads }, (_, head) => {
        return [`L0H${head}`, "final", 0.1] as [string, string, number];
      });
      const sketch = sketchOf(results(...paths), { ...extent, heads, kvHeads: heads });
      const boxes = sketch.nodes
        .filter(({ end }) => end.part === "head")
        .sort((a, b) => a.x - b.x);
      expect(boxes.map(({ end }) => end.head)).toEqual([...Array(heads).keys()]);
      boxes.forEach((box, index) => {
        const next = boxes[index + 1];
        const edge = next ? next.x - next.width / 2 : sketch.width;
        expect(box.x + box.width / 2).toBeLessThanOrEqual(edge);
      });
      expect(sketch.width).toBeGreaterThanOrEqual(600);
      expect(sketch.width > 600.5).toBe(heads === 64);
    }
  });

  test("has shared keys below the heads that they serve", () => {
    const sketch = sketchOf(
      results(["L0H0", "L1H1.k", 1], ["L1H5", "final", 1], ["L1H2", "final", 1]),
      { ...extent, ...GQA },
    );
    expect(at(sketch, "L1 KV1").y).toBeGreaterThan(at(sketch, "L1H5").y);
    expect(sketch.served.map(([from, to]) => [from.label, to.label])).toEqual([
      ["L1 KV1", "L1H5"],
    ]);
  });

  test("has positions across where paths have any", () => {
    const sketch = sketchOf(
      results(["L0H7@3", "L1H0.q", 1], ["L0H0@12", "L1H0.k", 1]),
      extent,
    );
    expect(sketch.columns.map(([label]) => label)).toEqual([
      "@3",
      "@12",
      "all positions",
    ]);
    const [first, second] = [3, 12].map((pos) => {
      return sketch.nodes.find(({ end }) => end.pos === pos)?.x ?? 0;
    });
    expect(first).toBeLessThan(second ?? 0);
    expect(second).toBeLessThan(at(sketch, "L1H0").x);
  });

  test("leaves out what has no number or no place, and may be empty", () => {
    const odd = results(["L0H0", "final", Number.NaN], ["<b>", "final", 1]);
    expect(sketchOf(odd, extent).edges).toEqual([]);
    expect(sketchOf(new Map(), extent)).toMatchObject({
      height: 0,
      nodes: [],
      rows: [],
    });
  });

  test("draws writers that are patched together each with a line", () => {
    const sketch = sketchOf(results(["L0H0 + L0H1", "final", 1]), extent);
    expect(sketch.edges.map(({ path }) => path)).toEqual([
      "L0H0 + L0H1 -> final",
      "L0H0 + L0H1 -> final",
    ]);
    expect(new Set(sketch.edges.map(({ from }) => from[0])).size).toBe(2);
  });
});

describe("a chain of paths", () => {
  test("leads from the embedding to the logits, in whatever order they came", () => {
    expect(isChain(circuitReader()(CIRCUIT).paths, COUNTS)).toBe(true);
    const links = [
      ["L2H1", "final", 1],
      ["L1.mlp", "L2H1.v", 1],
      ["embed", "L1.mlp", 1],
    ] as [string, string, number][];
    expect(isChain(results(...links), COUNTS)).toBe(true);
    for (const missing of links) {
      const others = links.filter((link) => link !== missing);
      expect(isChain(results(...others), COUNTS)).toBe(false);
    }
    expect(isChain(results(["embed", "final", 1]), COUNTS)).toBe(true);
    expect(isChain(new Map(), COUNTS)).toBe(false);
    expect(isChain(results(["?", "final", 1]), COUNTS)).toBe(false);
  });

  test("leads through a KV head to the heads that it serves, and to no other", () => {
    const from = (head: number) =>
      results(["embed", "L1H1.k", 1], [`L1H${head}`, "final", 1]);
    expect([3, 4, 7].map((head) => isChain(from(head), GQA))).toEqual([
      false,
      true,
      true,
    ]);
    expect(isChain(from(1), COUNTS)).toBe(true);
  });

  test("leads from one position to another, and through some that go together", () => {
    const placed = results(["embed@3", "L1H0.v", 1], ["L1H0@5 + L1H1@5", "final", 1]);
    expect(isChain(placed, COUNTS)).toBe(true);
  });
});

describe("the way through the sketch", () => {
  const ARROWS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
  const extent = { ...COUNTS, width: 600, positionName: (pos: number) => `@${pos}` };
  const usual = sketchOf(circuitReader()(CIRCUIT).paths, extent);
  const keyOf = (sketch: Sketch, label: string) =>
    sketch.nodes.find((one) => one.label === label)?.key ?? "";
  const labelOf = (sketch: Sketch, key: string | null) =>
    sketch.nodes.find((one) => one.key === key)?.label ??
    sketch.edges.find((one) => one.key === key)?.path;

  function walk(sketch: Sketch, from: string, ...steps: string[]) {
    let [at, home] = [keyOf(sketch, from), keyOf(sketch, from)];
    return steps.map((step) => {
      const isAlong = step.startsWith("+");
      const arrow = `Arrow${step.replace("+", "")}`;
      at = nextStop(sketch, { at, home }, arrow, isAlong) ?? "";
      if (sketch.nodes.some(({ key }) => key === at)) home = at;
      return labelOf(sketch, at);
    });
  }

  test.each([
    ["of one head a layer", usual],
    [
      "of shared keys",
      sketchOf(
        results(
          ["L0H0", "L1H1.k", 1],
          ["L1H5", "final", 1],
          ["embed", "L1H0.v", 2],
          ["L0.mlp", "L1H2.q", 1],
        ),
        { ...extent, ...GQA },
      ),
    ],
    [
      "of positions",
      sketchOf(results(["L0H7@3", "L1H0.q", 1], ["L0H0@12", "L2H0.k", 1]), extent),
    ],
    ["of one path", sketchOf(results(["embed", "final", 1]), extent)],
  ])("leads to every node %s, up is up, and left is left", (_, sketch) => {
    const first = firstStop(sketch) ?? "";
    const seen = new Set([first]);
    for (const at of seen) {
      const from = sketch.nodes.find(({ key }) => key === at);
      for (const arrow of ARROWS) {
        const next = nextStop(sketch, { at, home: at }, arrow, false);
        const to = sketch.nodes.find(({ key }) => key === next);
        if (!from || !to) throw new Error(`${at} ${arrow} leads to ${next}`);
        seen.add(to.key);
        if (to === from) continue;
        const [right, down] = [Math.sign(to.x - from.x), Math.sign(to.y - from.y)];
        if (arrow === "ArrowUp") expect(down).toBe(-1);
        if (arrow === "ArrowDown") expect(down).toBe(1);
        if (arrow === "ArrowLeft") expect([right, down]).toEqual([-1, 0]);
        if (arrow === "ArrowRight") expect([right, down]).toEqual([1, 0]);
      }
    }
    expect(seen.size).toBe(sketch.nodes.length);
    expect(
      sketch.nodes.every(
        ({ y }) => y >= (sketch.nodes.find(({ key }) => key === first)?.y ?? 0),
      ),
    ).toBe(true);
  });

  test("goes up to the node that is nearest, and ends at the edges", () => {
    expect(
      walk(usual, "L3H1", "Up", "Up", "Left", "Left", "Right", "Up", "Up"),
    ).toEqual(["L3 MLP", "L4H3", "L4H0", "L4H0", "L4H3", "logits", "logits"]);
  });

  test("goes along the largest path of a node, then to its others, and to its ends", () => {
    expect(walk(usual, "L3H1", "+Up", "Right", "Right", "Right", "Left", "Up")).toEqual(
      [
        "L3H1 -> L4H0.q",
        "L3H1 -> L4H3.q",
        "L3H1 -> L3.mlp",
        "L3H1 -> L3.mlp",
        "L3H1 -> L4H3.q",
        "L4H3",
      ],
    );
    expect(walk(usual, "L4H0", "+Down", "Right", "Down")).toEqual([
      "L3H1 -> L4H0.q",
      "L2H5 -> L4H0.q",
      "L2H5",
    ]);
  });

  test("stays where there is no path, and takes no other key", () => {
    expect(walk(usual, "logits", "+Up")).toEqual(["logits"]);
    expect(walk(usual, "embedding", "+Down")).toEqual(["embedding"]);
    for (const key of ["Enter", "a", "Tab", "Home"]) {
      const at = keyOf(usual, "L4H0");
      expect(nextStop(usual, { at, home: at }, key, false)).toBeNull();
      const [edge] = usual.edges;
      expect(nextStop(usual, { at: edge?.key ?? "", home: at }, key, true)).toBeNull();
    }
    expect(firstStop(sketchOf(new Map(), extent))).toBeUndefined();
  });

  test("tells the lines of one path apart", () => {
    const joint = sketchOf(results(["L0H0 + L0H1", "L1H0.q + L1H0.k", 1]), extent);
    expect(new Set(joint.edges.map(({ key }) => key)).size).toBe(4);
    expect(walk(joint, "L1H0", "+Down", "Left", "Right", "Down")).toContain("L0H1");
  });
});

test.each([false, true])("text on a colour can be read, dark: %s", (dark) => {
  const { diverging } = makePalette(dark);
  for (let value = -1; value <= 1; value += 0.05) {
    const paint = paintOf(value, 1, diverging);
    const light = paint?.fill.match(/\d+/g)?.map((byte) => {
      const share = Number(byte) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    const [red = 0, green = 0, blue = 0] = light ?? [];
    const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    const contrast =
      paint?.ink === "#000" ? (luminance + 0.05) / 0.05 : 1.05 / (luminance + 0.05);
    expect(contrast).toBeGreaterThanOrEqual(4.5);
  }
  expect(paintOf(Number.NaN, 1, diverging)).toBeNull();
});
