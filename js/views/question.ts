/** A question above the maps: picks are checked by the kernel, help unfolds bit by bit. */

import { signal as makeSignal } from "@preact/signals-core";
import { button, el, keyed, listen, quiet, react } from "../draw/dom";
import { MESSAGE_KINDS, messageOf } from "../host/messages";
import type { Question } from "../state/question";
import type { MakeView, View } from "./view";
import { counted } from "./words";

const SAVED = "A saved page: to check picks, or to see the answer, open the notebook.";

export const questionView: MakeView = (view) => {
  const { store, signal } = view;
  const section = el("section", { class: "pw-question", "aria-label": "Question" });
  const bodies = keyed(
    section,
    (_, life) => body({ ...view, signal: life }, store.question.peek()),
    signal,
  );
  react(signal, () => {
    const id = store.question.value?.id;
    section.hidden = id === undefined;
    bodies(id === undefined ? [] : [`${id}`]);
  });
  return section;
};

function body(view: View, question: Question | null): HTMLElement {
  const { store, signal } = view;
  const failure = makeSignal("");
  const about = question?.id;

  async function ask(kind: "questionCheck" | "questionSolve"): Promise<void> {
    failure.value = "";
    try {
      await store.channel.request(MESSAGE_KINDS[kind], { about });
    } catch (error) {
      failure.value = messageOf(error) ?? "";
    }
  }

  const state = quiet("");
  const refused = el("div", { class: "pw-error", role: "alert" });
  react(signal, () => {
    const picked = `${counted(store.selection.value.length, "node")} picked`;
    state.textContent = store.isSaved ? SAVED : picked;
    refused.textContent = failure.value;
    refused.hidden = failure.value === "";
  });
  const check = button("check", () => void ask("questionCheck"), signal);
  check.hidden = store.isSaved;
  const help = hints(question);
  if (!store.isSaved || question?.solution != null) {
    help.push(solution(view, () => void ask("questionSolve")));
  }
  unfoldInTurn(help, signal);
  return el(
    "div",
    "pw-asked",
    el("div", "pw-question-prompt", question?.prompt ?? ""),
    el("div", "pw-question-line", check, state),
    reply(view),
    refused,
    ...help,
  );
}

function reply({ store, signal }: View): HTMLElement {
  const words = el("div", { class: "pw-reply", role: "status" });
  react(signal, () => {
    const said = store.question.value?.reply;
    if (!said) {
      words.replaceChildren();
      return;
    }
    const now = [...store.selection.value].sort().join();
    const isOld = now !== [...said.picks].sort().join();
    const verdict = el("strong", {}, said.right ? "✓ Right." : "✗ Not yet.");
    words.replaceChildren(
      ...(isOld ? [quiet("before: ")] : []),
      verdict,
      ` ${said.words}`,
    );
  });
  return words;
}

function hints(question: Question | null): HTMLDetailsElement[] {
  const all = question?.hints ?? [];
  return all.map((hint, at) =>
    fold(all.length > 1 ? `hint ${at + 1} of ${all.length}` : "hint", hint),
  );
}

/** Asked for when it is unfolded; folded again where it does not hold any more. */
function solution({ store, signal }: View, ask: () => void): HTMLDetailsElement {
  const answer = el("div");
  const element = fold("answer", answer);
  listen(
    element,
    { toggle: () => element.open && store.question.peek()?.solution == null && ask() },
    signal,
  );
  react(signal, () => {
    const words = store.question.value?.solution ?? "";
    if (words === "" && answer.textContent !== "") element.open = false;
    answer.textContent = words;
  });
  return element;
}

function fold(title: string, content: Node | string): HTMLDetailsElement {
  return el("details", {}, el("summary", {}, title), content);
}

/** Each shows the next one's handle. */
function unfoldInTurn(parts: readonly HTMLDetailsElement[], signal: AbortSignal): void {
  parts.forEach((part, at) => {
    part.hidden = at > 0;
    const next = parts[at + 1];
    const toggle = () => {
      if (next && part.open) next.hidden = false;
    };
    listen(part, { toggle }, signal);
  });
}
