// @vitest-environment node
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FixtureHost, fixtureHost } from "../../js/host/fixture";
import { openChannel } from "../../js/host/messages";
import { createNeurons, neuronKey, parseNeuron } from "../../js/state/neurons";
import { formatNode, type Kind, type Node, parseNode } from "../../js/state/node";
import {
  createRows,
  lastHead,
  type RowStore,
  rowCell,
  rowCells,
  rowKey,
  rowNodes,
} from "../../js/state/rows";
import { settle } from "./support";

let host: FixtureHost;
let life: AbortController;
let rows: RowStore;

beforeEach(() => {
  host = fixtureHost({});
  life = new AbortController();
  rows = createRows(channel());
});

afterEach(() => life.abort());

function channel() {
  const ignore = () => {};
  return openChannel(host, ignore, ignore, life.signal);
}

async function answer(payload: object, buffers: Float32Array[], index = -1) {
  const id = host.sent.at(index)?.id;
  host.deliver({ kind: "reply", id, ok: true, error: null, payload }, buffers);
  await settle();
}

const QUESTION = { node: "L1H2.q", method: "atp" };
const PAYLOAD = { kind: "q", layer: 1, head: 2, method: "atp", size: 3 };

function stateOf(question = QUESTION) {
  return rows.entries.value.get(rowKey(question));
}

function node(name: string): Node {
  const found = parseNode(name);
  if (!found) throw new Error(`${name} is no node`);
  return found;
}

test("a row is asked for once, and is ready when the answer is here", async () => {
  rows.want(QUESTION);
  rows.want(QUESTION);
  expect(host.sent).toMatchObject([{ kind: "row.get", node: "L1H2.q" }]);
  expect(stateOf()).toEqual({ state: "loading" });
  const values = Float32Array.from([1, 2, 3]);
  await answer(PAYLOAD, [values]);
  expect(stateOf()).toEqual({ state: "ready", answer: { method: "atp", values } });
  rows.want(QUESTION);
  expect(host.sent).toHaveLength(1);
  rows.want({ ...QUESTION, method: "ig" });
  expect(host.sent).toHaveLength(2);
});

test("a row of another length is refused, and can be asked for again", async () => {
  rows.want(QUESTION);
  await answer(PAYLOAD, [Float32Array.from([1, 2])]);
  expect(stateOf()).toMatchObject({ state: "failed" });
  rows.want(QUESTION);
  expect(host.sent).toHaveLength(1);
  rows.retry(QUESTION);
  await answer(PAYLOAD, [new Float32Array(3)]);
  expect(stateOf()?.state).toBe("ready");
});

test("what was asked for before all was forgotten does not come back", async () => {
  rows.want(QUESTION);
  rows.clear();
  await answer(PAYLOAD, [new Float32Array(3)]);
  expect(rows.entries.value.size).toBe(0);
});

test("only so many rows are kept, the newest", async () => {
  for (let head = 0; head < 140; head++) {
    rows.want({ node: `L0H${head}.z`, method: "atp" });
  }
  expect(rows.entries.value.size).toBe(128);
  expect(rows.entries.value.has("L0H139.z|atp")).toBe(true);
  expect(rows.entries.value.has("L0H0.z|atp")).toBe(false);
});

test("the strip has a row for each picked kind of the head, or for all", () => {
  const counts = { heads: 8, kvHeads: 2 };
  const names = (subject: string, picked: string[], kinds: Kind[] = []) =>
    rowNodes(node(subject), picked.map(node), kinds, counts).map(formatNode);
  expect(names("L1H5.z", [])).toEqual(["L1H5.z"]);
  expect(names("L1H5.q@3", ["L1H5.z", "L1H4.v", "L0H5.pattern"])).toEqual([
    "L1H5.z",
    "L1H5.q",
  ]);
  expect(names("L1H5.z", ["L1H1.k"])).toEqual(["L1H5.z", "L1H1.k"]);
  expect(names("L1H1.k", [], ["z", "q", "k", "v"])).toEqual([
    "L1H4.z",
    "L1H4.q",
    "L1H1.k",
    "L1H1.v",
  ]);
  expect(names("L1.resid_pre@2", [])).toEqual([]);
});

test("a cell of the strip is the head at a position", () => {
  const nodes = rowNodes(node("L9H9.q"), [], [], { heads: 12, kvHeads: 12 });
  const cell = rowCell(nodes, 0, 12);
  expect(cell && formatNode(cell)).toBe("L9H9.q@12");
  expect(rowCell(nodes, 1, 0)).toBeNull();
  expect(lastHead([node("L9H9.q"), node("L1.mlp_out@2")])).toMatchObject({ head: 9 });
});

test("cells show the row, what is verified, and nothing where nothing came", () => {
  const nodes = [node("L1H2.z"), node("L1H2.q")];
  const values = Float32Array.from([0.5, -0.25, Number.NaN]);
  const ready = { state: "ready" as const, answer: { method: "atp", values } };
  const rest = { raw: 1, perPair: [1], halves: null, interval: null };
  const verified = new Map([["L1H2.z@1", { estimate: -0.25, exact: -0.5, ...rest }]]);
  const draw = (shown: "estimate" | "known" | "exact" | "miss", isSigned = true) =>
    rowCells(nodes, [ready, { state: "loading" }], verified, shown, 3, () => isSigned);
  const estimate = draw("estimate");
  expect([...estimate.values.slice(0, 2)]).toEqual([0.5, -0.25]);
  expect([...estimate.unknown]).toEqual([0, 0, 0, 1, 1, 1]);
  expect([...estimate.verified]).toEqual([0, 1, 0, 0, 0, 0]);
  expect([...draw("known").values.slice(0, 2)]).toEqual([0.5, -0.5]);
  expect([...draw("exact").unknown]).toEqual([1, 0, 1, 1, 1, 1]);
  expect(draw("miss").values[1]).toBe(0.25);
  expect(draw("miss", false).values[1]).toBe(0.75);
});

test("neurons are asked for by layer, and read by name", async () => {
  const neurons = createNeurons(channel());
  const question = { top: 2, layer: 3, method: "atp" };
  neurons.want(question);
  expect(host.sent).toMatchObject([{ kind: "neurons.get", top: 2, layer: 3 }]);
  const names = ["L3.neuron@5#17", "L3.neuron@0#2047"];
  const payload = { method: "atp", names, total: 4096, layers: 5 };
  const estimates = Float32Array.from([-0.5, 0.25]);
  await answer(payload, [estimates]);
  expect(neurons.entries.value.get(neuronKey(question))).toEqual({
    state: "ready",
    answer: { method: "atp", names, estimates, total: 4096 },
  });
  expect(names.map(parseNeuron)).toEqual([
    { layer: 3, pos: 5, neuron: 17 },
    { layer: 3, pos: 0, neuron: 2047 },
  ]);
  expect(parseNeuron("L3H1.z@5")).toBeNull();
});

test("fewer estimates than neurons are refused", async () => {
  const neurons = createNeurons(channel());
  const question = { top: 2, layer: null, method: "atp" };
  neurons.want(question);
  const payload = { method: "atp", names: ["L0.neuron@0#0"], total: 1 };
  await answer(payload, [new Float32Array(2)]);
  const entry = neurons.entries.value.get(neuronKey(question));
  expect(entry).toMatchObject({ state: "failed" });
});
