/** What the kernel is computing for this widget, and what became of it. */

import { button, el, quiet, react } from "../draw/dom";
import type { Job } from "../state/results";
import type { MakeView } from "./view";
import { counted, duration } from "./words";

export const jobView: MakeView = ({ store, signal }) => {
  const bar = el("section", { class: "pw-job", "aria-label": "Computation" });
  const cancel = button("cancel", () => void store.cancelJob(), signal, {
    class: "pw-cancel",
  });
  const retry = button("run again", () => void store.retryJob(), signal, {
    class: "pw-retry",
  });
  retry.hidden = store.isSaved;
  react(signal, () => {
    const job = store.job.value;
    bar.dataset.state = job.state;
    const silence = store.silence.value;
    const missing = store.selection.value.filter(
      (name) => !store.verified.value.has(name),
    ).length;
    const failure = store.jobFailure.value;
    const refused = el("span", "pw-error", `Not done: ${failure}`);
    bar.replaceChildren(
      ...content(job, missing, silence, { cancel, retry }),
      ...(failure ? [refused] : []),
    );
  });
  return bar;
};

function content(
  job: Job,
  missing: number,
  silence: number,
  { cancel, retry }: Record<"cancel" | "retry", HTMLElement>,
): HTMLElement[] {
  if (job.state === "lost") return [el("div", { role: "alert" }, LOST)];
  if (job.state === "running") return [...running(job, cancel), ...silent(silence)];
  const isVerification = isOfVerification(job.label);
  const again = missing > 0 || isVerification ? [retry] : [];
  if (job.state === "failed") return [failed(job), ...again];
  // A newer pick cancels an older one: that is no news once all picks are known.
  if (job.state !== "cancelled" || again.length === 0) return [];
  return [quiet(isVerification ? stopped(job) : cancelled(missing)), ...again];
}

const LOST =
  "The kernel that knew this widget was restarted, or has ended. What is shown was found " +
  "before; to go on, run the cell again.";

function silent(seconds: number): HTMLElement[] {
  const text = `No news for ${duration(seconds)}: the kernel is busy, or gone.`;
  return seconds > 0 ? [el("span", { class: "pw-quiet", role: "status" }, text)] : [];
}

function running(job: Job, cancel: HTMLElement): HTMLElement[] {
  const { label, done, total, secondsLeft } = job;
  const known = total > 0 ? { value: done, max: total } : {};
  const left = secondsLeft === null ? "" : `about ${duration(secondsLeft)} left`;
  return [
    el("progress", {
      class: "pw-progress",
      "aria-label": label || "running",
      ...known,
    }),
    el("span", "pw-job-label", label || "running"),
    ...(total > 0 ? [el("span", "pw-number", `${done}/${total}`)] : []),
    ...(left ? [quiet(left)] : []),
    cancel,
  ];
}

function failed({ label, error }: Job): HTMLElement {
  const { type = "Error", message = "no reason was given" } = error ?? {};
  return el(
    "div",
    { class: "pw-error", role: "alert" },
    el("strong", {}, label ? `${label} failed: ${type}` : type),
    el("pre", "pw-error-message", message),
  );
}

function cancelled(missing: number): string {
  return `Cancelled: ${counted(missing, "picked node")} not run.`;
}

function stopped({ label, done, total }: Job): string {
  return `Cancelled: ${label}, ${done} of ${total} done.`;
}

/** Picks are named one by one, and come first; other estimates are no verification. */
function isOfVerification(label: string): boolean {
  const last = label.split(", then ").at(-1) ?? "";
  const isPicks = /^L\d+(H\d+)?\.\w+/.test(last);
  return last !== "" && !isPicks && !last.startsWith("estimates:");
}
