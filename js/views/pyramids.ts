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
  const jobs: Job[] = [];
  const news = makeSignal(0);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let fine: Pattern | null = null;
  onAbort(signal, () => clearTimeout(timer));

  function keep({ pattern, key }: Job, pyramid: Pyramid): Pyramid {
    const known = made.get(pattern) ?? new Map<string, Pyramid>();
    const kept = pattern === fine ? pyramid : coarse(pyramid);
    made.set(pattern, known.set(key, kept));
    return kept;
  }

  function work(): void {
    const end = performance.now() + SLICE;
    let found = 0;
    while (jobs.length > 0 && performance.now() < end) {
      const job = jobs.find(({ pattern }) => pattern === fine) ?? (jobs[0] as Job);
      const { done, value } = job.steps.next();
      if (!done) continue;
      jobs.splice(jobs.indexOf(job), 1);
      keep(job, value);
      found += 1;
    }
    timer = jobs.length > 0 ? setTimeout(work) : undefined;
    news.value += found;
  }

  /** The head that was large before needs no more than the others. */
  function makeFine(pattern: Pattern): void {
    if (pattern === fine) return;
    const before = fine && made.get(fine);
    for (const [key, pyramid] of before ?? []) before?.set(key, coarse(pyramid));
    fine = pattern;
  }

  return {
    of(pattern, quantity, isFine = false) {
      const key = `${quantity.run}${quantity.weighted}`;
      if (isFine) makeFine(pattern);
      const known = made.get(pattern)?.get(key);
      if (known && !(isFine && isTrimmed(known))) return known;
      const steps = buildPyramid(rowsOf(pattern, quantity), pattern.size);
      const job = { pattern, key, steps };
      if (triangleLength(pattern.size) <= AT_ONCE)
        return keep(job, wholePyramid(steps));
      const isSame = (one: Job) => one.pattern === pattern && one.key === key;
      if (!jobs.some(isSame)) jobs.push(job);
      if (!signal.aborted) timer ??= setTimeout(work);
      news.value; // read: a later call has more to give
      return isFine ? null : (known ?? null);
    },
  };
}

function coarse({ largest, levels }: Pyramid): Pyramid {
  return { largest, levels: levels.filter(({ size }) => size <= SMALL) };
}

function isTrimmed({ levels }: Pyramid): boolean {
  return levels[0]?.block !== 2;
}
