// @vitest-environment node
import { describe, expect, test, vi } from "vitest";
import { exportedHost } from "../../js/host/exported";
import { MESSAGE_KINDS, openChannel, RequestError } from "../../js/host/messages";
import { createStore } from "../../js/state/store";
import { TRAITS } from "./page/data";

const SIZE = 3;
const AREA = 6;

/** One head's answer, its weights told apart by `first`. */
function attention(layer: number, head: number, first: number) {
  const weights = Uint16Array.from({ length: AREA }, (_, index) => first + index);
  const norms = Float32Array.from({ length: SIZE }, (_, index) => first - index);
  const [bytes, lengths] = [weights, norms].map((one) => new Uint8Array(one.buffer));
  return {
    payload: { heads: [{ layer, head }], size: SIZE, pair: 0, dtype: "uint16" },
    buffers: [bytes, bytes, lengths, lengths].flatMap((one) => one ?? []),
  };
}

const ANSWERS = {
  "attention.get L0H1.pattern 0": attention(0, 1, 10),
  "attention.get L1H2.pattern 0": attention(1, 2, 20),
  "row.get L0H1.q": {
    payload: { kind: "q", layer: 0, head: 1, method: "atp", size: 2 },
    buffers: [new Uint8Array(new Float32Array([0.5, -1]).buffer)],
  },
};

function open() {
  const host = exportedHost({ traits: { ...TRAITS }, answers: ANSWERS });
  const life = new AbortController();
  return { host, life, store: createStore(host, life.signal) };
}

const flushed = () => new Promise((done) => setTimeout(done, 0));

describe("attention", () => {
  test("of heads that were saved one by one comes together", async () => {
    const { store } = open();
    const heads = [
      { layer: 1, head: 2 },
      { layer: 0, head: 1 },
    ];
    store.attention.want(heads, 0, SIZE);
    await flushed();
    const found = [...store.attention.patterns.value.values()];
    const firsts = found.map((one) =>
      one.state === "ready"
        ? [one.pattern.clean.weights[0], one.pattern.corrupted.norms[1]]
        : one,
    );
    expect(firsts).toEqual([
      [20, 19],
      [10, 9],
    ]);
  });

  test.each([
    [
      "beside one that was",
      [
        { layer: 0, head: 1 },
        { layer: 0, head: 0 },
      ],
      0,
      ["ready", "failed"],
    ],
    ["alone", [{ layer: 0, head: 0 }], 0, ["failed"]],
    ["of this pair", [{ layer: 0, head: 1 }], 1, ["failed"]],
  ])("of a head that was not saved is missing, %s", async (_, heads, pair, states) => {
    const { store } = open();
    store.attention.want(heads, pair, SIZE);
    await flushed();
    const found = [...store.attention.patterns.value.values()];
    expect(found.map(({ state }) => state)).toEqual(states);
    const last = found.at(-1);
    expect(last?.state === "failed" && last.message).toMatch(/no kernel to ask/);
  });
});

test("a saved row is answered, another is missing", async () => {
  const { store } = open();
  store.rows.want({ node: "L0H1.q", method: "atp" });
  store.rows.want({ node: "L0H1.k", method: "atp" });
  await flushed();
  const [saved, other] = [...store.rows.entries.value.values()];
  expect(saved?.state === "ready" && [...saved.answer.values]).toEqual([0.5, -1]);
  expect(other?.state === "failed" && other.message).toMatch(/no kernel to ask/);
});

test("everything else that a kernel would answer has none to ask", async () => {
  const { host, life } = open();
  const channel = openChannel(
    host,
    () => {},
    () => {},
    life.signal,
  );
  const { reply, jobProgress, ...requests } = MESSAGE_KINDS;
  expect([reply, jobProgress]).toEqual(["reply", "job.progress"]);
  for (const kind of Object.values(requests)) {
    const error: unknown = await channel.request(kind, {}).catch((reason) => reason);
    expect(error, kind).toBeInstanceOf(RequestError);
    expect(String(error)).toMatch(/no kernel/);
  }
});

test.each([
  ["method", "relp"],
  ["direction", "noising"],
] as const)(
  "%s is taken back, and the page says why until it goes on",
  (trait, value) => {
    const { store } = open();
    const before = store[trait].value;
    expect(before).not.toBe(value);
    if (trait === "method") store.set(trait, value);
    else store.set(trait, "noising");
    expect(store[trait].value).toBe(before);
    expect(store.job.value).toMatchObject({
      state: "failed",
      label: `${trait} ${value}`,
      error: { type: "no kernel" },
    });
    store.set("shown", "known");
    expect(store.shown.value).toBe("known");
    expect(store.job.value.state).toBe("idle");
  },
);

test("a life that is over leaves nothing behind, and late answers reach nobody", async () => {
  const { host, life, store } = open();
  const heard = vi.fn();
  host.onMessage(heard, AbortSignal.abort());
  store.rows.want({ node: "L0H1.q", method: "atp" });
  life.abort();
  host.set("pair", 0);
  await flushed();
  expect(heard).not.toHaveBeenCalled();
});
