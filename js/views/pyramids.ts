/** Pyramids of attention patterns: built once, when a picture first wants one. */

import { signal as makeSignal } from "@preact/signals-core";
import { buildPyramid, type Pyramid, wholePyramid } from "../draw/pyramid";
import { onAbort } from "../host/life";
import { type Pattern, type Quantity, rowsOf, triangleLength } from "../state/pattern";

export interface Pyramids {
  /**
   * Null while it is built; whoever reads this in an effect is told when it is there.
   * `isFine` is for the head drawn large, which one comes near to: it is built first, and
   * alone has levels of more than `SMALL` rows.
   */
  of(pattern: Pattern, quantity: Quantity, isFine?: boolean): Pyramid | null;
}

interface Job {
  pattern: Pattern;
  key: string;
  steps: Generator<void, Pyramid>;
}

/** Enough for thumbnails; finer levels of every head would fill the memory. */
const SMALL = 512;
/** Patterns of so many cells are done at once: a picture that waits would flicker. */
const AT_ONCE = triangleLength(SMALL);
/** In ms: frames keep coming, with room for what they draw. */
const SLICE = 8;

export function createPyramids(signal: AbortSignal): Pyramids {
  const made = new WeakMap<Pattern, Map<string, Pyramid>>();
  const large = new Map<string, Pyramid>();
  let largePattern: Pattern | null = null;
  const jobs: Job[] = [];
  const news = makeSignal(0);
  let timer: ReturnType<typeof setTimeout> | undefined;
  onAbort(signal, () => clearTimeout(timer));

  function keep({ pattern, key }: Job, pyramid: Pyramid): Pyramid {
    const known = made.get(pattern) ?? new Map<string, Pyramid>();
    const levels = pyramid.levels.filter(({ size }) => size <= SMALL);
    const kept = { ...pyramid, levels };
    made.set(pattern, known.set(key, kept));
    if (pattern === largePattern) large.set(key, pyramid);
    return kept;
  }

  function work(): void {
    const end = performance.now() + SLICE;
    while (jobs.length > 0 && performance.now() < end) {
      const first = jobs.findIndex(({ pattern }) => pattern === largePattern);
      const at = Math.max(0, first);
      const job = jobs[at] as Job; // there is one
      const { done, value } = job.steps.next();
      if (!done) continue;
      jobs.splice(at, 1);
      keep(job, value);
      news.value += 1;
    }
    timer = jobs.length > 0 ? setTimeout(work) : undefined;
  }

  return {
    of(pattern, { run, weighted }, isFine = false) {
      const key = `${run}${weighted}`;
      if (isFine && pattern !== largePattern) {
        largePattern = pattern;
        large.clear();
      }
      const known = (isFine ? large : made.get(pattern))?.get(key);
      if (known) return known;
      const steps = buildPyramid(rowsOf(pattern, { run, weighted }), pattern.size);
      const job = { pattern, key, steps };
      if (triangleLength(pattern.size) <= AT_ONCE)
        return keep(job, wholePyramid(steps));
      const isSame = (one: Job) => one.pattern === pattern && one.key === key;
      if (!jobs.some(isSame)) jobs.push(job);
      if (!signal.aborted) timer ??= setTimeout(work);
      news.value; // read: a later call has more to give
      return null;
    },
  };
}
