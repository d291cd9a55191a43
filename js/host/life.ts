/** Things that end with an AbortSignal. */

/** Runs once when the signal aborts; never, where that has happened already. */
export function onAbort(signal: AbortSignal, act: () => void): void {
  signal.addEventListener("abort", act, { once: true });
}

/** Keeps an item in a set while the signal lives. */
export function addFor<T>(set: Set<T>, item: T, signal: AbortSignal): void {
  if (signal.aborted) return;
  set.add(item);
  onAbort(signal, () => set.delete(item));
}

/** A life that ends with its parent's, and leaves nothing there when it ends first. */
export function childLife(parent: AbortSignal | undefined): AbortController {
  const life = new AbortController();
  if (parent?.aborted) life.abort();
  parent?.addEventListener("abort", () => life.abort(), { signal: life.signal });
  return life;
}
