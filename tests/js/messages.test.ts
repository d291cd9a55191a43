// @vitest-environment node
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type FixtureHost, fixtureHost } from "../../js/host/fixture";
import {
  type Channel,
  type JobProgress,
  MESSAGE_KINDS,
  messageOf,
  openChannel,
  RequestError,
} from "../../js/host/messages";
import "./support";

let host: FixtureHost;
let life: AbortController;
let progress: JobProgress[];
let reports: string[];
let channel: Channel;

beforeEach(() => {
  vi.useFakeTimers();
  host = fixtureHost({});
  life = new AbortController();
  progress = [];
  reports = [];
  const onProgress = (latest: JobProgress) => progress.push(latest);
  channel = openChannel(host, onProgress, (what) => reports.push(what), life.signal);
});

afterEach(() => {
  life.abort();
  expect(vi.getTimerCount()).toBe(0);
  expect(host.listenerCount()).toBe(0);
  vi.useRealTimers();
});

function ask(options: { signal?: AbortSignal; timeoutMs?: number } = {}) {
  return channel.request(MESSAGE_KINDS.attentionGet, { pair: -1 }, options);
}

function lastId(): unknown {
  return host.sent.at(-1)?.id;
}

function reply(id: unknown, more: object) {
  return { kind: "reply", id, error: null, payload: null, ...more };
}

describe("a request", () => {
  test("gets the reply that bears its id, with the buffers", async () => {
    const [first, second] = [ask(), ask()];
    const [firstId, secondId] = host.sent.map(({ id }) => id);
    const buffer = new DataView(new ArrayBuffer(4));
    host.deliver(reply(secondId, { ok: true, payload: 2 }), [buffer]);
    host.deliver(reply(firstId, { ok: true, payload: 1 }));
    expect(await first).toEqual({ payload: 1, buffers: [] });
    expect(await second).toEqual({ payload: 2, buffers: [buffer] });
  });

  test("is sent flat, with kind and id", () => {
    ask().catch(() => {});
    expect(host.sent).toEqual([
      { kind: "attention.get", id: expect.any(String), pair: -1 },
    ]);
  });

  test("fails with the kernel's own error", async () => {
    const asked = ask();
    const error = { type: "ValueError", message: "no such head" };
    host.deliver(reply(lastId(), { ok: false, error }));
    await expect(asked).rejects.toEqual(new RequestError("ValueError", "no such head"));
  });

  test("fails even if the error is malformed", async () => {
    const asked = ask();
    host.deliver(reply(lastId(), { ok: false, error: "oh" }));
    await expect(asked).rejects.toThrow("no reason was given");
  });

  test("fails in words when the kernel never answers; a late reply is said once", async () => {
    const asked = ask({ timeoutMs: 5000 });
    const failed = expect(asked).rejects.toThrow("has not answered for 5 s");
    await vi.advanceTimersByTimeAsync(5000);
    await failed;
    host.deliver(reply(lastId(), { ok: true }));
    expect(reports).toEqual(["a reply came late"]);
  });

  test("ends when its caller gives it up", async () => {
    const caller = new AbortController();
    const asked = ask({ signal: caller.signal });
    caller.abort();
    expect(messageOf(await asked.catch((error) => error))).toBeNull();
  });

  test("ends with the model", async () => {
    const asked = ask();
    life.abort();
    expect(messageOf(await asked.catch((error) => error))).toBeNull();
  });

  test("is not sent when it was given up before", async () => {
    await expect(ask({ signal: AbortSignal.abort() })).rejects.toThrow();
    expect(host.sent).toEqual([]);
  });

  test("fails when it cannot be sent", async () => {
    host.send = () => {
      throw new Error("the comm is closed");
    };
    await expect(ask()).rejects.toThrow("the comm is closed");
  });
});

test("replies to other pages are no concern of this one", () => {
  host.deliver(reply("another-page-0", { ok: true }));
  expect(reports).toEqual([]);
});

test("progress goes to the job", () => {
  host.deliver({ kind: "job.progress", id: 3, done: 1, total: 2 });
  expect(progress).toEqual([{ id: 3, done: 1, total: 2, secondsLeft: null }]);
});

test.each([
  null,
  "text",
  [],
  { kind: "reply", id: 3, ok: true },
  { kind: "job.progress", id: "3", done: 1, total: 2 },
  { kind: "nobody.knows" },
])("%j is reported and ignored", (content) => {
  host.deliver(content);
  expect(reports).toEqual(["a message could not be understood"]);
  expect(progress).toEqual([]);
});
