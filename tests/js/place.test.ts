// @vitest-environment node
import { expect, test } from "vitest";
import { pickedHeads } from "../../js/state/attention";
import { cellNode } from "../../js/state/node";
import { linkedColumns, nodePlace, positionPlace } from "../../js/state/place";

const COUNTS = { heads: 8, kvHeads: 2 };

test("a head is the same cell in all head facets, and no column by position", () => {
  const place = nodePlace(cellNode("z", 3, 5), COUNTS);
  expect(place.layer).toBe(3);
  expect(linkedColumns(place, "q", COUNTS)).toEqual([5, 6]);
  expect(linkedColumns(place, "resid_pre", COUNTS)).toBeNull();
});

test("a query head lies in its group's KV head, and that stands for the group", () => {
  const query = nodePlace(cellNode("q", 3, 5), COUNTS);
  expect(linkedColumns(query, "k", COUNTS)).toEqual([1, 2]);
  const key = nodePlace(cellNode("k", 3, 1), COUNTS);
  expect(linkedColumns(key, "v", COUNTS)).toEqual([1, 2]);
  expect(linkedColumns(key, "z", COUNTS)).toEqual([4, 8]);
});

test("a position is a column by position, and in no head facet", () => {
  expect(linkedColumns(positionPlace(4), "mlp_out", COUNTS)).toEqual([4, 5]);
  expect(linkedColumns(positionPlace(4), "z", COUNTS)).toBeNull();
});

test("picked heads: each once, KV heads as their group, other nodes not at all", () => {
  const names = ["L1H2.z", "L1H2.q@3", "L0.mlp_out@1", "nonsense", "L2H1.v"];
  const heads = pickedHeads(names, COUNTS).map(({ layer, head }) => [layer, head]);
  expect(heads).toEqual([
    [1, 2],
    [2, 4],
    [2, 5],
    [2, 6],
    [2, 7],
  ]);
});
