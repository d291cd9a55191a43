/**
 * The messages between page and kernel, and the request that waits for a reply.
 *
 * Every request carries an id that begins with this page's own prefix: the kernel's
 * replies go to every page that shows the widget, and those of others are not ours.
 */

import type { Host } from "./host";
import type { Report } from "./report";

// biome-ignore format: a Python test reads this line and compares it with its twin
export const MESSAGE_KINDS = {attentionGet: "attention.get", circuitsvisGet: "circuitsvis.get", rowGet: "row.get", neuronsGet: "neurons.get", diagnosisGet: "diagnosis.get", costGet: "cost.get", verifyStart: "verify.start", questionCheck: "question.check", questionSolve: "question.solve", pathsGet: "paths.get", pathsStart: "paths.start", circuitStart: "circuit.start", circuitLoad: "circuit.load", circuitJson: "circuit.json", moduleGet: "module.get", jobCancel: "job.cancel", jobRetry: "job.retry", jobProgress: "job.progress", reply: "reply"} as const;

/** A kernel that runs a user's cell answers only when that cell has ended. */
const REPLY_TIMEOUT_MS = 30_000;

type RequestName = Exclude<keyof typeof MESSAGE_KINDS, "jobProgress" | "reply">;

export type RequestKind = (typeof MESSAGE_KINDS)[RequestName];

export interface Reply {
  payload: unknown;
  buffers: readonly unknown[];
}

export interface JobProgress {
  id: number;
  done: number;
  total: number;
  /** How long it will still take; null while nobody can tell. */
  secondsLeft: number | null;
}

/** The kernel refused a request, or never answered it. */
export class RequestError extends Error {
  constructor(
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

export interface RequestOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
}

export interface Channel {
  request(
    kind: RequestKind,
    body: Record<string, unknown>,
    options?: RequestOptions,
  ): Promise<Reply>;
}

interface Pending {
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

/** Opens the one channel of a model; it closes, with all requests, on `signal`. */
export function openChannel(
  host: Host,
  onProgress: (progress: JobProgress) => void,
  report: Report,
  signal: AbortSignal,
): Channel {
  const prefix = Math.random().toString(36).slice(2);
  const pending = new Map<string, Pending>();
  let count = 0;
  let isLost = false;

  function receive(content: unknown, buffers: readonly unknown[]): void {
    if (isReply(content)) {
      const waiting = pending.get(content.id);
      if (waiting) settle(waiting, content, buffers);
      else if (content.id.startsWith(prefix)) report("a reply came late", content);
    } else if (isProgress(content)) {
      const { id, done, total, seconds_left = null } = content;
      onProgress({ id, done, total, secondsLeft: seconds_left });
    } else {
      report("a message could not be understood", content);
    }
  }

  host.onMessage(receive, signal);
  host.onLost(() => {
    isLost = true;
    for (const waiting of [...pending.values()]) waiting.reject(kernelLost());
  }, signal);

  return {
    request(kind, body, { signal: caller, timeoutMs } = {}) {
      const id = `${prefix}-${count++}`;
      return new Promise((resolve, reject) => {
        const fail = (error: unknown) => pending.get(id)?.reject(error);
        const release = guard([signal, caller], timeoutMs, fail);
        const settleWith = <T>(act: (result: T) => void) => {
          return (result: T) => {
            pending.delete(id);
            release();
            act(result);
          };
        };
        pending.set(id, { resolve: settleWith(resolve), reject: settleWith(reject) });
        try {
          signal.throwIfAborted();
          caller?.throwIfAborted();
          if (isLost) throw kernelLost();
          host.send({ ...body, kind, id });
        } catch (error) {
          fail(error);
        }
      });
    },
  };
}

/** Calls `fail` on an abort or when time is up; returns what takes the guard away. */
function guard(
  signals: (AbortSignal | undefined)[],
  timeoutMs = REPLY_TIMEOUT_MS,
  fail: (error: unknown) => void,
): () => void {
  const onAbort = () => fail(abortError());
  const seconds = Math.round(timeoutMs / 1000);
  const onTimeout = () =>
    fail(new RequestError("Timeout", `the kernel has not answered for ${seconds} s`));
  const timer = setTimeout(onTimeout, timeoutMs);
  for (const signal of signals) signal?.addEventListener("abort", onAbort);
  return () => {
    clearTimeout(timer);
    for (const signal of signals) signal?.removeEventListener("abort", onAbort);
  };
}

function kernelLost(): RequestError {
  return new RequestError("NoKernel", "the kernel was restarted, or has ended");
}

function abortError(): DOMException {
  return new DOMException("the request was given up", "AbortError");
}

/** Why a request failed; null where it was given up, which nobody has to be told. */
export function messageOf(error: unknown): string | null {
  if (error instanceof DOMException && error.name === "AbortError") return null;
  return error instanceof Error ? error.message : String(error);
}

function settle(
  waiting: Pending,
  reply: ReplyMessage,
  buffers: readonly unknown[],
): void {
  if (reply.ok) {
    waiting.resolve({ payload: reply.payload, buffers });
    return;
  }
  const { type, message } = reply.error ?? {};
  waiting.reject(
    new RequestError(String(type ?? "Error"), String(message ?? "no reason was given")),
  );
}

interface ReplyMessage {
  id: string;
  ok: boolean;
  error?: { type?: unknown; message?: unknown } | null;
  payload?: unknown;
}

function isReply(content: unknown): content is ReplyMessage {
  return (
    hasKind(content, MESSAGE_KINDS.reply) &&
    typeof content.id === "string" &&
    typeof content.ok === "boolean"
  );
}

interface ProgressMessage {
  id: number;
  done: number;
  total: number;
  seconds_left?: number | null;
}

function isProgress(content: unknown): content is ProgressMessage {
  return (
    hasKind(content, MESSAGE_KINDS.jobProgress) &&
    typeof content.id === "number" &&
    typeof content.done === "number" &&
    typeof content.total === "number" &&
    (content.seconds_left == null || typeof content.seconds_left === "number")
  );
}

function hasKind(content: unknown, kind: string): content is Record<string, unknown> {
  return Object(content).kind === kind;
}
