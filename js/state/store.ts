/**
 * The state of one model, shared by all its outputs on the page, by owner:
 * what the kernel owns is followed, what the view owns is followed and written.
 * What only one output knows (hover, its width) is in `ui.ts`.
 */

import {
  computed,
  effect,
  signal as makeSignal,
  type ReadonlySignal,
} from "@preact/signals-core";
import type { Host, Trait } from "../host/host";
import {
  isAbort,
  type JobProgress,
  MESSAGE_KINDS,
  openChannel,
} from "../host/messages";
import { reportOnce } from "../host/report";
import { type AttentionStore, createAttention } from "./attention";
import { type Figure, makeFigure, SHOWN, type Shown } from "./figure";
import { createMirrors, type Mirrors, readEntries } from "./mirror";
import type { Kind } from "./node";
import {
  type Grid,
  type Job,
  NO_JOB,
  readGrid,
  readJob,
  readVerified,
  type Verified,
} from "./results";
import { sameSelection } from "./selection";
import { list, oneOf, text, whole } from "./shape";
import { readStudy, type Study } from "./study";

export interface Store {
  readonly study: ReadonlySignal<Study | null>;
  readonly grids: ReadonlySignal<ReadonlyMap<Kind, Grid>>;
  readonly verified: ReadonlySignal<ReadonlyMap<string, Verified>>;
  /** The job's state, with the newest progress in it. */
  readonly job: ReadonlySignal<Job>;
  /** Why the kernel did not do what a job's button asked; null if it did. */
  readonly jobFailure: ReadonlySignal<string | null>;

  readonly selection: ReadonlySignal<readonly string[]>;
  readonly shown: ReadonlySignal<Shown>;
  /** Index of the pair shown; -1 for the mean, and where there is no such pair. */
  readonly pair: ReadonlySignal<number>;

  readonly figure: ReadonlySignal<Figure>;
  readonly attention: AttentionStore;
  readonly trouble: ReadonlySignal<ReadonlyMap<Trait, string>>;

  /** Writes nothing when nothing changes: a pick fires work in the kernel. */
  select(selection: readonly string[]): void;
  show(shown: Shown): void;
  showPair(pair: number): void;
  cancelJob(): Promise<void>;
  /** Runs the picks that are not known once more. */
  retryJob(): Promise<void>;
}

export function createStore(host: Host, signal: AbortSignal): Store {
  const report = reportOnce();
  const progress = makeSignal<JobProgress | null>(null);
  const channel = openChannel(
    host,
    (latest) => {
      progress.value = latest;
    },
    report,
    signal,
  );
  const mirrors = createMirrors(host, report, signal);
  const kernel = followKernel(mirrors);
  const view = followView(mirrors);
  const attention = createAttention(channel);
  const jobFailure = makeSignal<string | null>(null);
  signal.addEventListener("abort", forgetWithStudy(kernel.study, attention));

  async function askOfJob(kind: "jobCancel" | "jobRetry"): Promise<void> {
    jobFailure.value = null;
    try {
      await channel.request(MESSAGE_KINDS[kind], {});
    } catch (error) {
      if (isAbort(error)) return;
      jobFailure.value = error instanceof Error ? error.message : String(error);
    }
  }

  return {
    ...view,
    pair: computed(() => knownPair(kernel.study.value, view.pair.value)),
    study: kernel.study,
    grids: kernel.grids,
    verified: kernel.verified,
    job: computed(() => withProgress(kernel.job.value, progress.value)),
    figure: computed(() =>
      makeFigure(kernel.grids.value, kernel.verified.value, view.shown.value),
    ),
    jobFailure,
    attention,
    trouble: mirrors.trouble,
    select(selection) {
      if (sameSelection(view.selection.peek(), selection)) return;
      view.selection.value = selection;
      host.set("selection", [...selection]);
    },
    show(shown) {
      if (view.shown.peek() === shown) return;
      view.shown.value = shown;
      host.set("shown", shown);
    },
    showPair(pair) {
      if (view.pair.peek() === pair) return;
      view.pair.value = pair;
      host.set("pair", pair);
    },
    cancelJob: () => askOfJob("jobCancel"),
    retryJob: () => askOfJob("jobRetry"),
  };
}

function followKernel({ follow }: Mirrors) {
  return {
    study: follow<Study | null>("study", readStudy, null),
    grids: follow<ReadonlyMap<Kind, Grid>>(
      "grids",
      (value, complain) => byKind(readEntries(value, "grids", readGrid, complain)),
      new Map(),
    ),
    verified: follow<ReadonlyMap<string, Verified>>(
      "verified",
      (value, complain) => readEntries(value, "verified", readVerified, complain),
      new Map(),
    ),
    job: follow("job", readJob, NO_JOB),
  };
}

function byKind(grids: ReadonlyMap<string, Grid>): Map<Kind, Grid> {
  return new Map([...grids.values()].map((grid) => [grid.kind, grid]));
}

function followView({ follow }: Mirrors) {
  return {
    selection: follow<readonly string[]>(
      "selection",
      (value) => list(text)(value ?? [], "selection"),
      [],
      sameSelection,
    ),
    shown: follow<Shown>(
      "shown",
      (value) => oneOf(...SHOWN)(value ?? "estimate", "shown"),
      "estimate",
    ),
    pair: follow("pair", (value) => whole(value ?? -1, "pair"), -1),
  };
}

function knownPair(study: Study | null, pair: number): number {
  return pair >= 0 && pair < (study?.pairs.length ?? 0) ? pair : -1;
}

/** Another study has other prompts: what was loaded for the last one is void. */
function forgetWithStudy(
  study: ReadonlySignal<Study | null>,
  attention: AttentionStore,
): () => void {
  const stop = effect(() => {
    study.value; // read, so that this runs again with every new study
    attention.clear();
  });
  return () => stop();
}

/** Progress counts for the job it names, and never takes the bar back. */
function withProgress(job: Job, progress: JobProgress | null): Job {
  if (job.state !== "running" || progress?.id !== job.id) return job;
  return { ...job, done: Math.max(job.done, progress.done), total: progress.total };
}
