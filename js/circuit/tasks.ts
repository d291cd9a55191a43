/** What was started from this part of the page, until it is known or has ended. */

import {
  computed,
  effect,
  signal as makeSignal,
  type ReadonlySignal,
} from "@preact/signals-core";
import { onAbort } from "../host/life";
import { type Channel, MESSAGE_KINDS, messageOf } from "../host/messages";
import type { Job } from "../state/results";
import type { Started } from "./costs";

export interface Tasks {
  /** Exact path patches of these paths. */
  run(paths: readonly string[]): Promise<void>;
  start(what: Started): Promise<void>;
  /** Names of paths, and what was started otherwise. */
  readonly under: ReadonlySignal<ReadonlySet<string>>;
  /** Why the kernel did not start what was asked for last; empty if it did. */
  readonly refusal: ReadonlySignal<string>;
}

type Body = Record<string, unknown>;

export function createTasks(
  channel: Channel,
  job: ReadonlySignal<Job>,
  signal: AbortSignal,
): Tasks {
  const under = makeSignal<ReadonlySet<string>>(new Set());
  const refusal = makeSignal("");
  let asking = 0;
  let newest = 0;
  const isRunning = computed(() => job.value.state === "running");
  // Finished, failed or cancelled: what is not known by then is not on its way.
  const stop = effect(() => {
    if (!isRunning.value && asking === 0) under.value = new Set();
  });
  onAbort(signal, stop);

  async function ask(kind: "pathsStart" | "circuitStart", body: Body, names: string[]) {
    refusal.value = "";
    under.value = new Set(names); // the newest wins: what ran before has stopped
    asking++;
    newest++;
    const own = newest;
    try {
      await channel.request(MESSAGE_KINDS[kind], body, { signal });
    } catch (error) {
      if (own !== newest) return;
      refusal.value = messageOf(error) ?? "";
      under.value = new Set();
    } finally {
      asking--;
    }
    if (asking === 0 && !isRunning.peek()) under.value = new Set();
  }

  return {
    run: (paths) => ask("pathsStart", { paths: [...paths] }, [...paths]),
    start: (what) => ask("circuitStart", { what }, [what]),
    under,
    refusal,
  };
}
