// @vitest-environment node
import { expect, test } from "vitest";
import { cellNode, formatNode, nodeCell, parseNode } from "../../js/state/node";

test.each([
  ["L4H0.z", { kind: "z", layer: 4, head: 0, pos: null, src: null }],
  ["L12H11.q@3", { kind: "q", layer: 12, head: 11, pos: 3, src: null }],
  ["L3.resid_pre@5", { kind: "resid_pre", layer: 3, head: null, pos: 5, src: null }],
  ["L4H0.pattern@12", { kind: "pattern", layer: 4, head: 0, pos: 12, src: null }],
  ["L4H0.pattern@12,4", { kind: "pattern", layer: 4, head: 0, pos: 12, src: 4 }],
])("%s is read, and written the same", (name, node) => {
  expect(parseNode(name)).toEqual(node);
  const parsed = parseNode(name);
  expect(parsed && formatNode(parsed)).toBe(name);
});

test.each([
  "",
  "L4.z",
  "L4H0.resid_pre@1",
  "L3.resid_pre",
  "L3.mlp_out@1,2",
  "L4H0.z@1,2",
  "L4H0.unknown",
  "L-1H0.z",
  " L4H0.z",
  "L4H0.z\n",
])("%j is no node", (name) => {
  expect(parseNode(name)).toBeNull();
});

test("cells and nodes are two names of one thing, and finer nodes have no cell", () => {
  const node = cellNode("k", 2, 7);
  expect(formatNode(node)).toBe("L2H7.k");
  expect(nodeCell(node)).toEqual({ row: 2, column: 7 });
  expect(formatNode(cellNode("mlp_out", 2, 7))).toBe("L2.mlp_out@7");
  const finer = parseNode("L2H7.k@3");
  expect(finer && nodeCell(finer)).toBeNull();
});
