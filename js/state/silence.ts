/** How long nothing has been heard of a job: one that nobody runs must not look as if. */

import {
  effect,
  signal as makeSignal,
  type ReadonlySignal,
} from "@preact/signals-core";
import { type Host, KERNEL_TRAITS } from "../host/host";
import { onAbort } from "../host/life";

/** The kernel tells of a job several times a second, unless a cell or a long step runs. */
const SILENT_AFTER_S = 5;

/** Seconds, while they are worth telling, else 0; infinite once the kernel is gone. */
export function createSilence(
  host: Host,
  isRunning: ReadonlySignal<boolean>,
  signal: AbortSignal,
): ReadonlySignal<number> {
  const silence = makeSignal(0);
  const lost = makeSignal(false);
  let heard = Date.now();
  const hear = () => {
    heard = Date.now();
    if (!lost.peek()) silence.value = 0;
  };
  const look = () => {
    const seconds = Math.floor((Date.now() - heard) / 1000);
    silence.value = seconds < SILENT_AFTER_S ? 0 : seconds;
  };
  for (const trait of KERNEL_TRAITS) host.onChange(trait, hear, signal);
  host.onMessage(hear, signal);
  host.onLost(() => {
    lost.value = true;
  }, signal);
  const stop = effect(() => {
    if (lost.value) silence.value = Number.POSITIVE_INFINITY;
    if (lost.value || !isRunning.value) return;
    hear();
    const timer = setInterval(look, 1000);
    return () => {
      clearInterval(timer);
      hear();
    };
  });
  onAbort(signal, stop);
  return silence;
}
