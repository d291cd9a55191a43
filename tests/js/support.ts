/** What jsdom lacks, in the smallest form that the widget needs. */

import { setMaxListeners } from "node:events";
import { vi } from "vitest";

// One signal ends a whole output, so many listen to it; Node takes more than ten for a
// leak. The tests count what is left behind themselves.
setMaxListeners(0);

/** Every painted canvas records the calls that were made on its context. */
export type Calls = string[];

export interface Browser {
  /** Live observers and media listeners: zero when nothing leaks. */
  alive(): number;
  /** Tells all observers that the layout has changed. */
  resize(width: number): void;
  calls(canvas: HTMLCanvasElement): Calls;
}

export function standInBrowser(width = 1000): Browser {
  const observers = new Set<() => void>();
  const mutations = new Set<object>();
  const media = new Set<unknown>();
  const calls = new WeakMap<HTMLCanvasElement, Calls>();
  let now = width;

  class ResizeObserver {
    constructor(readonly callback: () => void) {}
    observe() {
      observers.add(this.callback);
    }
    disconnect() {
      observers.delete(this.callback);
    }
  }
  const Original = MutationObserver;
  class CountedMutationObserver extends Original {
    override observe(...args: Parameters<MutationObserver["observe"]>) {
      mutations.add(this);
      super.observe(...args);
    }
    override disconnect() {
      mutations.delete(this);
      super.disconnect();
    }
  }
  vi.stubGlobal("ResizeObserver", ResizeObserver);
  vi.stubGlobal("MutationObserver", CountedMutationObserver);
  vi.stubGlobal("matchMedia", () => ({
    matches: false,
    addEventListener(_: string, listener: unknown, options?: { signal?: AbortSignal }) {
      media.add(listener);
      options?.signal?.addEventListener("abort", () => media.delete(listener));
    },
  }));
  vi.spyOn(HTMLElement.prototype, "getBoundingClientRect").mockImplementation(function (
    this: HTMLElement,
  ) {
    const height = Number.parseFloat(this.style.height) || 0;
    return new DOMRect(0, 0, Number.parseFloat(this.style.width) || now, height);
  });
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(function (
    this: HTMLCanvasElement,
  ) {
    const made: Calls = [];
    calls.set(this, made);
    // A stand-in for the few members that `draw/canvas.ts` calls.
    return fakeContext(this, made) as unknown as RenderingContext;
  });
  return {
    alive: () => observers.size + mutations.size + media.size,
    resize(next) {
      now = next;
      for (const callback of [...observers]) callback();
    },
    calls: (canvas) => calls.get(canvas) ?? [],
  };
}

function fakeContext(canvas: HTMLCanvasElement, calls: Calls): object {
  const members: Record<string, unknown> = {
    canvas,
    createImageData: (width: number, height: number) => ({
      data: new Uint8ClampedArray(width * height * 4),
    }),
  };
  return new Proxy(members, {
    get(target, name: string) {
      if (name in target) return target[name];
      return () => calls.push(name);
    },
  });
}

/** Lets promises and mutation records through. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
}
