/** Signals that follow traits, and what was wrong with the traits that could not. */

import { signal as makeSignal, type Signal } from "@preact/signals-core";
import type { Host, Trait } from "../host/host";
import type { Report } from "../host/report";
import { type Reader, record, ShapeError } from "./shape";

/** Passed to a reader for what it can leave out and go on. */
export type Complain = (error: ShapeError) => void;

export interface Mirrors {
  /** What could not be read, per trait, in words: shown where the picture is. */
  readonly trouble: Signal<ReadonlyMap<Trait, string>>;
  /** A signal that follows a trait; `fallback` where the trait cannot be read. */
  follow<T>(
    trait: Trait,
    read: (value: unknown, complain: Complain) => T,
    fallback: T,
    same?: (a: T, b: T) => boolean,
  ): Signal<T>;
}

export function createMirrors(
  host: Host,
  report: Report,
  signal: AbortSignal,
): Mirrors {
  const trouble = makeSignal<ReadonlyMap<Trait, string>>(new Map());

  function note(trait: Trait, problems: readonly string[]): void {
    if (problems.length === 0 && !trouble.peek().has(trait)) return;
    const next = new Map(trouble.peek());
    if (problems.length === 0) next.delete(trait);
    else next.set(trait, problems.join("; "));
    trouble.value = next;
    for (const problem of problems) report(problem, host.get(trait));
  }

  return {
    trouble,
    follow(trait, read, fallback, same = Object.is) {
      const attempt = () => {
        const problems: string[] = [];
        const complain: Complain = ({ message }) => problems.push(message);
        try {
          return read(host.get(trait), complain);
        } catch (error) {
          if (!(error instanceof ShapeError)) throw error;
          complain(error);
          return fallback;
        } finally {
          note(trait, problems);
        }
      };
      const current = makeSignal(attempt());
      const update = () => {
        const next = attempt();
        if (!same(current.peek(), next)) current.value = next;
      };
      host.onChange(trait, update, signal);
      return current;
    },
  };
}

/** Reads a table entry by entry: one bad entry does not hide the others. */
export function readEntries<T>(
  value: unknown,
  where: string,
  read: Reader<T>,
  complain: Complain,
): Map<string, T> {
  const entries = new Map<string, T>();
  for (const [key, item] of Object.entries(record(value ?? {}, where))) {
    try {
      entries.set(key, read(item, `${where}.${key}`));
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      complain(error);
    }
  }
  return entries;
}
