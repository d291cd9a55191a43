// @vitest-environment node
import { describe, expect, test } from "vitest";
import {
  focusedToken,
  nextChosen,
  shownRuns,
  strongest,
  thumbnailRun,
  tokenPlace,
  tokenRuns,
} from "../../js/state/look";
import { attentionPlace, headPlace, positionPlace } from "../../js/state/place";
import {
  canZoomIn,
  canZoomOut,
  fittedTo,
  panned,
  revealing,
  type Viewport,
  wholeMatrix,
  zoomed,
} from "../../js/state/viewport";

const head = (layer: number, index: number) => ({ layer, head: index });

describe("the viewport", () => {
  test("zooms about the cell under the pointer", () => {
    const near = zoomed(wholeMatrix(100), 2, { x: 0.8, y: 0.2 });
    expect(near).toEqual({ size: 100, top: 10, left: 40, count: 50 });
    // The cell at a share of the picture is the same before and after.
    expect(near.left + 0.8 * near.count).toBe(80);
    expect(zoomed(near, 0.5, { x: 0.8, y: 0.2 })).toEqual(wholeMatrix(100));
  });

  test("takes a step for every turn of the wheel, however small", () => {
    const near = zoomed(wholeMatrix(20), 1.001);
    expect(near.count).toBe(19);
    expect(zoomed(near, 0.999).count).toBe(20);
    expect(zoomed(near, 1)).toEqual(near);
  });

  test("ends at a few cells, and at the whole", () => {
    const nearest = zoomed(wholeMatrix(400), 1e9);
    expect(nearest.count).toBe(8);
    expect([canZoomIn(nearest), canZoomOut(nearest)]).toEqual([false, true]);
    expect(zoomed(nearest, 1e-9)).toEqual(wholeMatrix(400));
    expect([canZoomIn(wholeMatrix(400)), canZoomOut(wholeMatrix(400))]).toEqual([
      true,
      false,
    ]);
  });

  test("of one token is that token", () => {
    const one = wholeMatrix(1);
    expect([canZoomIn(one), canZoomOut(one)]).toEqual([false, false]);
    expect(zoomed(one, 3)).toEqual(one);
    expect(panned(one, 5, -5)).toEqual(one);
    expect(revealing(one, 0, 0)).toEqual(one);
  });

  test("never leaves the matrix", () => {
    const part: Viewport = { size: 30, top: 10, left: 10, count: 10 };
    expect(panned(part, 100, -100)).toEqual({ ...part, top: 20, left: 0 });
    expect(panned(part, 1, 2)).toEqual({ ...part, top: 11, left: 12 });
    for (const factor of [0.3, 0.7, 1.3, 4]) {
      for (const x of [0, 0.5, 1]) {
        const { top, left, count } = zoomed(part, factor, { x, y: 1 - x });
        for (const first of [top, left]) {
          expect(first).toBeGreaterThanOrEqual(0);
          expect(first + count).toBeLessThanOrEqual(30);
        }
      }
    }
  });

  test("moves no more than it must to show a cell", () => {
    const part: Viewport = { size: 30, top: 10, left: 10, count: 10 };
    expect(revealing(part, 12, 19)).toEqual(part);
    expect(revealing(part, 9, 20)).toEqual({ ...part, top: 9, left: 11 });
    expect(revealing(part, 29, null)).toEqual({ ...part, top: 20 });
  });

  test("stays on another head of the same prompt, and not on another prompt", () => {
    const part: Viewport = { size: 30, top: 10, left: 10, count: 10 };
    expect(fittedTo(part, 30)).toBe(part);
    expect(fittedTo(part, 12)).toEqual(wholeMatrix(12));
  });
});

describe("the head drawn large", () => {
  test("is one that was added, else the same, else the first", () => {
    const [a, b, c] = [head(1, 0), head(2, 0), head(3, 0)];
    expect(nextChosen("", [], [a, b])).toBe("L1H0");
    expect(nextChosen("L1H0", [a, b], [a, b, c])).toBe("L3H0");
    expect(nextChosen("L2H0", [a, b, c], [b, c])).toBe("L2H0");
    expect(nextChosen("L2H0", [a, b], [a])).toBe("L1H0");
    expect(nextChosen("L1H0", [a], [b])).toBe("L2H0");
    expect(nextChosen("L1H0", [a], [a, b, c])).toBe("L1H0"); // a group of heads
    expect(nextChosen("L1H0", [a], [])).toBe("");
  });
});

describe("the token in focus", () => {
  test("is the locked one, else the one that the pointer is at", () => {
    const cell = attentionPlace(1, 2, 9, 4);
    expect(focusedToken(null, null, "to")).toBeNull();
    expect(focusedToken(null, cell, "to")).toBe(9);
    expect(focusedToken(null, cell, "from")).toBe(4);
    expect(focusedToken(null, positionPlace(5), "from")).toBe(5);
    expect(focusedToken(7, cell, "to")).toBe(7);
    expect(focusedToken(0, null, "to")).toBe(0);
    expect(focusedToken(null, headPlace(1, 2), "to")).toBeNull();
  });

  test("and another token make a place of attention", () => {
    const free = tokenPlace(head(1, 2), 5, null, "to");
    expect(free).toMatchObject({ layer: 1, heads: [2, 3], pos: 5, src: null });
    expect(tokenPlace(head(1, 2), 5, null, "from")).toMatchObject({
      pos: null,
      src: 5,
    });
    expect(tokenPlace(head(1, 2), 5, 8, "to")).toEqual(attentionPlace(1, 2, 8, 5));
    expect(tokenPlace(head(1, 2), 8, 5, "from")).toEqual(attentionPlace(1, 2, 8, 5));
  });

  test("has its strongest weights named, without those of zero", () => {
    expect(strongest(Float32Array.from([0.1, -0.5, 0, 0.3]), 2)).toEqual([1, 3]);
    expect(strongest(Float32Array.from([0, 0, 1]), 2)).toEqual([2]);
    expect(strongest(new Float32Array(0), 2)).toEqual([]);
  });
});

test("side by side is three panels, thumbnails of differences, and two lines of tokens", () => {
  expect(shownRuns("all")).toEqual(["clean", "corrupted", "difference"]);
  expect(thumbnailRun("all")).toBe("difference");
  expect(tokenRuns("all")).toEqual(["clean", "corrupted"]);
  for (const run of shownRuns("all")) {
    expect([shownRuns(run), [thumbnailRun(run)], tokenRuns(run)]).toEqual([
      [run],
      [run],
      [run],
    ]);
  }
});
