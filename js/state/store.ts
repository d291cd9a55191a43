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
  untracked,
} from "@preact/signals-core";
import type { Host, Trait } from "../host/host";
import { onAbort } from "../host/life";
import {
  type Channel,
  type JobProgress,
  MESSAGE_KINDS,
  messageOf,
  openChannel,
} from "../host/messages";
import { reportOnce } from "../host/report";
import { type AttentionStore, createAttention } from "./attention";
import { type Costs, createCosts, type Wanted } from "./costs";
import { createDiagnoses, type DiagnosisStore } from "./diagnoses";
import { type Figure, makeFigure } from "./figure";
import { type FocusNode, focusNodes } from "./focus";
import { createHistory, type History } from "./history";
import { type Mine, readMine } from "./mine";
import { type Complain, createMirrors, type Mirrors, readEntries } from "./mirror";
import { createNeurons, type NeuronStore } from "./neurons";
import { isKind, type Kind } from "./node";
import { type Question, readQuestion } from "./question";
import { type Report, readKindReport } from "./report";
import {
  type Grid,
  type Job,
  NO_JOB,
  readGrid,
  readJob,
  readVerified,
  type Verified,
} from "./results";
import { createRows, type RowStore } from "./rows";
import { createSettings, type SetSetting, type SettingSignals } from "./settings";
import type { Reader } from "./shape";
import { createSilence } from "./silence";
import { readStudy, type Study } from "./study";

export interface Store extends SettingSignals {
  readonly study: ReadonlySignal<Study | null>;
  readonly grids: ReadonlySignal<ReadonlyMap<Kind, Grid>>;
  readonly verified: ReadonlySignal<ReadonlyMap<string, Verified>>;
  readonly report: ReadonlySignal<Report>;
  readonly mine: ReadonlySignal<Mine>;
  /** Null where nothing is asked. */
  readonly question: ReadonlySignal<Question | null>;
  /** Paths and circuits as they came: read by the module that draws them. */
  readonly circuit: ReadonlySignal<unknown>;
  /** The job's state, with the newest progress in it. */
  readonly job: ReadonlySignal<Job>;
  /** For how many seconds nothing has been heard of it: see `silence.ts`. */
  readonly silence: ReadonlySignal<number>;
  /** Why the kernel did not do what a job's button asked; null if it did. */
  readonly jobFailure: ReadonlySignal<string | null>;
  /** Index of the pair shown; -1 for the mean, and where there is no such pair. */
  readonly pair: ReadonlySignal<number>;
  readonly set: SetSetting;

  readonly figure: ReadonlySignal<Figure>;
  /** The nodes of the kind in focus, with what is known of each. */
  readonly focus: ReadonlySignal<readonly FocusNode[]>;
  readonly attention: AttentionStore;
  readonly diagnoses: DiagnosisStore;
  readonly rows: RowStore;
  readonly neurons: NeuronStore;
  readonly channel: Channel;
  /** Whether this is a saved page, where nothing more can be computed. */
  readonly isSaved: boolean;
  readonly trouble: ReadonlySignal<ReadonlyMap<Trait, string>>;

  /** Earlier selections. */
  readonly history: History;
  readonly costs: Costs;

  /** Starts a verification; its results come as traits. */
  verify(wanted: Wanted): Promise<void>;
  cancelJob(): Promise<void>;
  /** Runs the picks that are not known once more. */
  retryJob(): Promise<void>;
}

const LOST_JOB: Job = { ...NO_JOB, state: "lost" };

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
  const { signals, set } = createSettings(host, mirrors);
  const attention = createAttention(channel);
  const diagnoses = createDiagnoses(channel);
  const rows = createRows(channel);
  const neurons = createNeurons(channel);
  const isRunning = computed(() => kernel.job.value.state === "running");
  const silence = createSilence(host, isRunning, signal);
  const isLost = computed(() => silence.value === Number.POSITIVE_INFINITY);
  const jobFailure = makeSignal<string | null>(null);
  onAbort(signal, forgetWith(kernel.study, [attention]));
  // A method that is asked for is not on show at once: what the kernel tells in between
  // is still about the old one. Its grids come when it is.
  const estimated = [diagnoses, rows, neurons];
  for (const source of [kernel.study, signals.method, kernel.grids]) {
    onAbort(signal, forgetWith(source, estimated));
  }

  async function askOfJob(
    kind: "jobCancel" | "jobRetry" | "verifyStart",
    body: Record<string, unknown> = {},
  ): Promise<void> {
    jobFailure.value = null;
    try {
      await channel.request(MESSAGE_KINDS[kind], body);
    } catch (error) {
      jobFailure.value = messageOf(error);
    }
  }

  let figure: Figure | undefined;
  return {
    ...signals,
    set,
    pair: computed(() => knownPair(kernel.study.value, signals.pair.value)),
    ...kernel,
    job: computed(() =>
      isLost.value ? LOST_JOB : withProgress(kernel.job.value, progress.value),
    ),
    silence,
    figure: computed(() => {
      const [grids, verified] = [kernel.grids.value, kernel.verified.value];
      const [shown, mine] = [signals.shown.value, kernel.mine.value];
      figure = makeFigure(grids, verified, shown, figure, mine);
      return figure;
    }),
    focus: computed(() =>
      focusNodes(kernel.grids.value, kernel.verified.value, signals.kind.value),
    ),
    jobFailure,
    attention,
    diagnoses,
    rows,
    neurons,
    channel,
    isSaved: host.isSaved ?? false,
    trouble: mirrors.trouble,
    history: createHistory(
      signals.selection,
      (selection) => set("selection", selection),
      signal,
    ),
    costs: createCosts(channel),
    verify: (wanted) => askOfJob("verifyStart", { ...wanted }),
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
    report: follow<Report>(
      "report",
      (value, complain) => ofKinds(value, "report", readKindReport, complain),
      new Map(),
    ),
    mine: follow<Mine>(
      "mine",
      (value, complain) => ofKinds(value, "mine", readMine, complain),
      new Map(),
    ),
    question: follow<Question | null>("question", readQuestion, null),
    circuit: follow<unknown>("circuit", (value) => value ?? {}, {}),
    job: follow("job", readJob, NO_JOB),
  };
}

function ofKinds<T>(
  value: unknown,
  where: string,
  read: Reader<T>,
  complain: Complain,
): Map<Kind, T> {
  const entries = readEntries(value, where, read, complain);
  return new Map([...entries].filter((entry): entry is [Kind, T] => isKind(entry[0])));
}

function byKind(grids: ReadonlyMap<string, Grid>): Map<Kind, Grid> {
  return new Map([...grids.values()].map((grid) => [grid.kind, grid]));
}

function knownPair(study: Study | null, pair: number): number {
  return pair >= 0 && pair < (study?.pairs.length ?? 0) ? pair : -1;
}

/** What was loaded is void when what it was about is replaced. */
function forgetWith(
  source: ReadonlySignal<unknown>,
  loaded: readonly { clear(): void }[],
): () => void {
  return effect(() => {
    source.value; // read, so that this runs again with every new value
    untracked(() => {
      for (const store of loaded) store.clear();
    });
  });
}

/** Progress counts for the job it names, and never takes the bar back. */
function withProgress(job: Job, progress: JobProgress | null): Job {
  if (job.state !== "running" || progress?.id !== job.id) return job;
  const { done, total, secondsLeft } = progress;
  return { ...job, done: Math.max(job.done, done), total, secondsLeft };
}
