/** A host without a kernel: fixed traits, and whatever answers a test or page gives. */

import type { Host, MessageListener, Trait } from "./host";
import { addFor } from "./life";

export interface FixtureHost extends Host {
  /** Everything sent with `send`, oldest first. */
  readonly sent: Record<string, unknown>[];
  /** Every trait written with `set`, oldest first. */
  readonly written: [Trait, unknown][];
  /** Sets a trait as the kernel would. */
  receive(trait: Trait, value: unknown): void;
  /** Delivers a message as the kernel would. */
  deliver(content: unknown, buffers?: readonly unknown[]): void;
  /** Is gone, as a kernel that is restarted. */
  lose(): void;
  listenerCount(): number;
}

export function fixtureHost(initial: Partial<Record<Trait, unknown>>): FixtureHost {
  const traits = new Map<string, unknown>(Object.entries(initial));
  const changes = new Set<{ trait: Trait; callback: () => void }>();
  const listeners = new Set<MessageListener>();
  const mourners = new Set<() => void>();
  const sent: Record<string, unknown>[] = [];
  const written: [Trait, unknown][] = [];

  function assign(trait: Trait, value: unknown): void {
    traits.set(trait, value);
    for (const change of [...changes]) if (change.trait === trait) change.callback();
  }

  return {
    sent,
    written,
    get: (trait) => traits.get(trait),
    set(trait, value) {
      written.push([trait, value]);
      assign(trait, value);
    },
    receive: assign,
    onChange: (trait, callback, signal) => addFor(changes, { trait, callback }, signal),
    send: (content) => sent.push(content),
    onMessage: (listener, signal) => addFor(listeners, listener, signal),
    deliver(content, buffers = []) {
      for (const listener of [...listeners]) listener(content, buffers);
    },
    onLost: (callback, signal) => addFor(mourners, callback, signal),
    lose() {
      for (const callback of [...mourners]) callback();
    },
    listenerCount: () => changes.size + listeners.size + mourners.size,
  };
}
