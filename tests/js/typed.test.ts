// @vitest-environment node
import { expect, test } from "vitest";
import { readStudy } from "../../js/state/study";
import { readTyped } from "../../js/state/typed";
import { STUDY } from "./page/data";

const study = readStudy({ ...STUDY, n_kv_heads: 2, labels: { S2: 10, END: 14 } });
if (!study) throw new Error("no study");

test.each([
  ["L4H0.q", ["L4H0.q"]],
  ["4.0", ["L4H0.z"]],
  ["4.0.q@S2", ["L4H0.q@10"]],
  ["L3.mlp_out@END", ["L3.mlp_out@14"]],
  ["4.0, 4.6;1.2", ["L4H0.z", "L4H6.z", "L1H2.z"]],
  ["4.0,4.6", ["L4H0.z", "L4H6.z"]],
  ["l4h0.pattern@14,2 4.0", ["L4H0.pattern@14,2", "L4H0.z"]],
  ["4.0.pattern@END,S2", ["L4H0.pattern@14,10"]],
  ["4.0 4.0", ["L4H0.z"]],
  ["", []],
])("%s", (text, names) => {
  expect(readTyped(text, study, "")).toEqual({ names, problems: [] });
});

test("a head without a kind is of the kind in focus", () => {
  expect(readTyped("1.1", study, "k").names).toEqual(["L1H1.k"]);
  expect(readTyped("1.1", study, "mlp_out").names).toEqual(["L1H1.z"]);
  expect(readTyped("1@3", study, "mlp_out").names).toEqual(["L1.mlp_out@3"]);
});

test.each([
  ["9.0", /layers 0 to 4/],
  ["4.8", /heads 0 to 7/],
  ["4.2.v", /v has heads 0 to 1/],
  ["4.0.z@15", /positions are 0 to 14, or S2, END/],
  ["4.0.z@S9", /positions are/],
  ["4.0.zz", /zz is no kind/],
  ["L3.mlp_out", /needs a position/],
  ["L3H1.mlp_out@1", /has no heads/],
  ["L3.q", /belongs to a head/],
  ["4.0.z@1,2", /one position/],
  ["hello", /not a node/],
])("%s is refused with the reason", (text, reason) => {
  const { names, problems } = readTyped(`${text} 0.0`, study, "");
  expect(names).toEqual(["L0H0.z"]);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(reason);
});
