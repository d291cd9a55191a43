// @vitest-environment node
import { expect, test } from "vitest";
import {
  headLabel,
  MAX_NAME_LETTERS,
  namedHead,
  nameOf,
  nodeNickname,
  withName,
} from "../../js/state/names";
import { type Node, parseNode } from "../../js/state/node";

const NAMES = { L9H9: "name mover" };
const COUNTS = { heads: 8, kvHeads: 2 };

function node(name: string): Node {
  const found = parseNode(name);
  if (!found) throw new Error(`${name} is no node`);
  return found;
}

test("a head is called by its place, and by its name where it has one", () => {
  expect(headLabel(NAMES, 9, 9)).toBe("L9H9 “name mover”");
  expect(headLabel(NAMES, 9, 6)).toBe("L9H6");
  expect(nameOf(NAMES, 9, 6)).toBe("");
});

test("an empty name takes the name away, and leaves the others", () => {
  const head = { layer: 1, head: 2 };
  const named = withName(NAMES, head, "  induction\n head ");
  expect(named).toEqual({ ...NAMES, L1H2: "induction head" });
  expect(withName(named, head, "  ")).toEqual(NAMES);
  expect(NAMES).toEqual({ L9H9: "name mover" });
});

test("a long name is cut between letters, not within one", () => {
  const name = withName({}, { layer: 0, head: 0 }, "𝒙".repeat(99)).L0H0 ?? "";
  expect([...name]).toHaveLength(MAX_NAME_LETTERS);
  expect(name).not.toMatch(/\p{Cs}/u);
});

test("a KV head that several heads share has none of their names", () => {
  expect(namedHead(node("L9H9.q"), COUNTS)).toEqual({ layer: 9, head: 9 });
  expect(namedHead(node("L9H1.k"), COUNTS)).toBeNull();
  expect(namedHead(node("L9.mlp_out@3"), COUNTS)).toBeNull();
  const own = { heads: 8, kvHeads: 8 };
  expect(namedHead(node("L9H1.k"), own)).toEqual({ layer: 9, head: 1 });
  expect(nodeNickname(NAMES, node("L9H9.z@4"), COUNTS)).toBe("name mover");
  expect(nodeNickname({ L9H1: "x" }, node("L9H1.v"), COUNTS)).toBe("");
});
