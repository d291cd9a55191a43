import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type FixtureHost, fixtureHost } from "../../js/host/fixture";
import { KERNEL_TRAITS } from "../../js/host/host";
import { createStore, type Store } from "../../js/state/store";
import { mountWidget } from "../../js/views/widget";
import { NO_JOB, TRAITS } from "./page/data";
import { standInBrowser } from "./support";

const RUNNING = { ...NO_JOB, id: 5, state: "running", total: 10, label: "exact z" };

let host: FixtureHost;
let life: AbortController;
let store: Store;
let parent: HTMLElement;

beforeEach(() => {
  vi.useFakeTimers();
  standInBrowser();
  host = fixtureHost(TRAITS);
  life = new AbortController();
  store = createStore(host, life.signal);
  parent = document.createElement("div");
  mountWidget(store, parent, life.signal);
});

afterEach(() => {
  life.abort();
  expect(host.listenerCount()).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const bar = () => parent.querySelector<HTMLElement>(".pw-job");

test("a job of which nothing is heard says so, until something is", () => {
  host.receive("job", RUNNING);
  vi.advanceTimersByTime(4_000);
  expect(bar()?.textContent).not.toContain("No news");
  vi.advanceTimersByTime(8_000);
  expect(bar()?.textContent).toContain(
    "No news for 12 s: the kernel is busy, or gone.",
  );
  expect(bar()?.querySelector("progress")).not.toBeNull();
  host.deliver({ kind: "job.progress", id: 5, done: 4, total: 10 });
  expect(bar()?.textContent).not.toContain("No news");
  vi.advanceTimersByTime(6_000);
  expect(bar()?.textContent).toContain("No news for 6 s");
  host.receive("verified", {});
  expect(bar()?.textContent).not.toContain("No news");
});

test.each(KERNEL_TRAITS.filter((trait) => trait !== "job"))(
  "%s is news of a job",
  (trait) => {
    host.receive("job", RUNNING);
    vi.advanceTimersByTime(9_000);
    expect(store.silence.value).toBeGreaterThan(5);
    host.receive(trait, host.get(trait));
    expect(store.silence.value).toBe(0);
  },
);

test("a job that ends is not waited for", () => {
  host.receive("job", RUNNING);
  vi.advanceTimersByTime(9_000);
  host.receive("job", { ...RUNNING, state: "done" });
  expect(store.silence.value).toBe(0);
  vi.advanceTimersByTime(9_000);
  expect(store.silence.value).toBe(0);
  host.receive("job", { ...RUNNING, id: 6 });
  vi.advanceTimersByTime(4_000);
  expect(store.silence.value, "counted anew").toBe(0);
});

test("a kernel that is gone takes its job along, and answers nothing", async () => {
  host.receive("selection", ["L0H1.z"]);
  host.receive("verified", {});
  host.receive("job", RUNNING);
  expect(parent.querySelector(".pw-pick progress")).not.toBeNull();
  const asked = store.channel.request("cost.get", { what: "all" });
  host.lose();
  expect(bar()?.dataset.state).toBe("lost");
  expect(bar()?.querySelector("[role=alert]")?.textContent).toMatch(
    /run the cell again/,
  );
  expect(parent.querySelector("progress, .pw-cancel"), "nothing spins").toBeNull();
  expect(parent.querySelector(".pw-pick .pw-exact")?.textContent).toBe("not run");
  await expect(asked).rejects.toThrow("the kernel was restarted, or has ended");
  const late = store.channel.request("cost.get", { what: "all" });
  await expect(late).rejects.toThrow("the kernel was restarted, or has ended");
  vi.advanceTimersByTime(60_000);
  expect(bar()?.dataset.state).toBe("lost");
});
