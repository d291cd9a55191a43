// @vitest-environment node
import { signal } from "@preact/signals-core";
import { expect, test } from "vitest";
import { createHistory } from "../../js/state/history";

function open(first: readonly string[] = []) {
  const selection = signal(first);
  const life = new AbortController();
  const select = (next: readonly string[]) => {
    selection.value = next;
  };
  return { selection, life, history: createHistory(selection, select, life.signal) };
}

test("goes back to earlier picks, whoever made them, and forward again", () => {
  const { selection, history } = open();
  selection.value = ["a"];
  selection.value = ["a", "b"];
  history.back();
  expect(selection.value).toEqual(["a"]);
  history.back();
  expect(selection.value).toEqual([]);
  expect(history.canBack.value).toBe(false);
  history.back();
  history.forward();
  history.forward();
  expect(selection.value).toEqual(["a", "b"]);
  expect(history.canForward.value).toBe(false);
});

test("a new pick ends what lay ahead", () => {
  const { selection, history } = open();
  selection.value = ["a"];
  selection.value = ["b"];
  history.back();
  selection.value = ["c"];
  expect(history.canForward.value).toBe(false);
  history.back();
  expect(selection.value).toEqual(["a"]);
});

test("equal picks are no step, and old ones are forgotten", () => {
  const { selection, history } = open(["a"]);
  selection.value = ["a"];
  expect(history.canBack.value).toBe(false);
  for (let pick = 0; pick < 80; pick++) selection.value = [`${pick}`];
  let steps = 0;
  while (history.canBack.value) {
    history.back();
    steps += 1;
  }
  expect(steps).toBe(49);
  expect(selection.value).toEqual(["30"]);
});

test("stops with its life", () => {
  const { selection, history, life } = open();
  life.abort();
  selection.value = ["a"];
  expect(history.canBack.value).toBe(false);
});
