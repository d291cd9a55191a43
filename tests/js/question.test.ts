import { expect, test } from "vitest";
import { exportedHost } from "../../js/host/exported";
import type { FixtureHost } from "../../js/host/fixture";
import { createStore } from "../../js/state/store";
import { mountWidget } from "../../js/views/widget";
import { host, life, openOn, open as openWith, place } from "./opened";
import { CASES } from "./page/cases";
import { settle } from "./support";

const TRAITS = CASES.question?.() ?? {};
const QUESTION = Object(TRAITS).question;

function open(question: object = {}): FixtureHost {
  openWith({ ...TRAITS, question: { ...QUESTION, reply: null, ...question } });
  return host;
}

function parts(): HTMLDetailsElement[] {
  return [...place.querySelectorAll<HTMLDetailsElement>(".pw-question details")];
}

function shown(): (string | undefined)[] {
  const visible = parts().filter(({ hidden }) => !hidden);
  return visible.map((part) => part.querySelector("summary")?.textContent ?? undefined);
}

/** As a click on its handle does: jsdom unfolds, and tells of it later. */
function unfold(at: number, isOpen = true): void {
  const part = parts()[at];
  if (!part) throw new Error("no such part");
  part.open = isOpen;
  part.dispatchEvent(new Event("toggle"));
}

const check = () => place.querySelector<HTMLElement>(".pw-question-line .pw-button");
const text = (selector: string) => place.querySelector(selector)?.textContent;

test("is above the maps, as text, and there only when something is asked", () => {
  const host = open({ prompt: "<b>Which</b>?" });
  const section = place.querySelector<HTMLElement>(".pw-question");
  expect(section?.hidden).toBe(false);
  expect(text(".pw-question-prompt")).toBe("<b>Which</b>?");
  expect(section?.nextElementSibling?.className).toBe("pw-controls");
  host.receive("question", {});
  expect(section?.hidden).toBe(true);
  expect(section?.children).toHaveLength(0);
});

test("hints and the answer unfold one by one", () => {
  open();
  expect(shown()).toEqual(["hint 1 of 2"]);
  unfold(0);
  expect(shown()).toEqual(["hint 1 of 2", "hint 2 of 2"]);
  unfold(0, false);
  unfold(1);
  expect(shown()).toEqual(["hint 1 of 2", "hint 2 of 2", "answer"]);
});

test("a question without hints has its answer to unfold", () => {
  open({ hints: [] });
  expect(shown()).toEqual(["answer"]);
});

test("checking asks the kernel, and shows what it says", () => {
  const host = open();
  check()?.click();
  expect(host.sent.at(-1)).toMatchObject({ kind: "question.check", about: 1 });
  expect(text(".pw-reply")).toBe("");
  const picks = ["L4H0.q", "L3H1.z"];
  const reply = { right: false, words: "One is missing.", picks };
  unfold(0);
  host.receive("question", { ...QUESTION, reply });
  expect(text(".pw-reply")).toBe("✗ Not yet. One is missing.");
  expect(parts()[0]?.open).toBe(true);
  host.receive("selection", ["L3H1.z"]);
  expect(text(".pw-reply")).toBe("before: ✗ Not yet. One is missing.");
  const right = { right: true, words: "It is.", picks: ["L3H1.z"] };
  host.receive("question", { ...QUESTION, reply: right });
  expect(text(".pw-reply")).toBe("✓ Right. It is.");
});

test("the answer is asked for once it is unfolded, and folds when it is void", () => {
  const host = open({ hints: [] });
  const kinds = () => host.sent.map(({ kind }) => kind);
  expect(kinds()).not.toContain("question.solve");
  unfold(0);
  expect(host.sent.at(-1)).toMatchObject({ kind: "question.solve", about: 1 });
  const solved = { ...QUESTION, hints: [], solution: "L4H0.z (+0.271)." };
  host.receive("question", solved);
  expect(parts()[0]?.textContent).toContain("L4H0.z (+0.271).");
  const count = kinds().length;
  unfold(0, false);
  unfold(0);
  expect(kinds()).toHaveLength(count);
  host.receive("question", { ...solved, solution: null });
  expect(parts()[0]?.open).toBe(false);
});

test("another question folds what was unfolded", () => {
  const host = open();
  unfold(0);
  host.receive("question", { ...QUESTION, id: 2 });
  expect(parts().map(({ open }) => open)).toEqual([false, false, false]);
  expect(shown()).toEqual(["hint 1 of 2"]);
});

test("two outputs show the same", () => {
  const host = open();
  const store = createStore(host, life.signal);
  mountWidget(store, place, life.signal);
  host.receive("question", { ...QUESTION, reply: { ...QUESTION.reply, right: true } });
  const replies = [...place.querySelectorAll(".pw-reply")];
  expect(replies.map((one) => one.textContent?.slice(0, 15))).toEqual([
    "before: ✓ Right",
    "before: ✓ Right",
  ]);
});

test("a saved page has prompt and hints, and says that checking takes the notebook", () => {
  openOn(exportedHost({ traits: { ...TRAITS }, answers: {} }));
  unfold(0);
  unfold(1);
  expect(parts()[1]?.textContent).toContain("Verify the top 10 first.");
  expect(shown()).toEqual(["hint 1 of 2", "hint 2 of 2"]);
  expect(check()?.hidden).toBe(true);
  expect(text(".pw-question-line")).toContain("open the notebook");
  expect(text(".pw-reply")).toContain("✗ Not yet. L3H1.z");
});

test("an answer that was unfolded before stays in the saved page", () => {
  const question = { ...QUESTION, hints: [], solution: "L4H0.z (+0.271)." };
  openOn(exportedHost({ traits: { ...TRAITS, question }, answers: {} }));
  expect(shown()).toEqual(["answer"]);
  expect(parts()[0]?.textContent).toContain("L4H0.z (+0.271).");
});

test("what the kernel refuses is said", async () => {
  const host = open();
  check()?.click();
  const { id } = host.sent.at(-1) ?? {};
  const error = { type: "ValueError", message: "<b> is not asked any more" };
  host.deliver({ kind: "reply", id, ok: false, error, payload: null });
  await settle();
  expect(text(".pw-question .pw-error")).toBe("<b> is not asked any more");
  check()?.click();
  expect(place.querySelector<HTMLElement>(".pw-question .pw-error")?.hidden).toBe(true);
});

test("a question that cannot be read hides nothing else", () => {
  open({ hints: 3 });
  expect(place.querySelector<HTMLElement>(".pw-question")?.hidden).toBe(true);
  expect(place.textContent).toContain("question.hints: expected a list, got 3");
  expect(place.querySelectorAll(".pw-grid").length).toBeGreaterThan(0);
});
