/**
 * What the front end knows of the world outside: named traits and messages.
 *
 * Behind this interface stands a live kernel (`anywidget.ts`), a saved page
 * (`exported.ts`) or fixed data (`fixture.ts`); nothing above this room can tell which.
 */

/** Written by the kernel, only read here. */
// biome-ignore format: a Python test reads this line and compares it with its twin
export const KERNEL_TRAITS = ["study", "grids", "mine", "verified", "report", "circuit", "question", "job"] as const;

export type KernelTrait = (typeof KERNEL_TRAITS)[number];

/** Written here; a user's Python code may set them as well. */
export type ViewTrait =
  | "selection"
  | "shown"
  | "pair"
  | "method"
  | "direction"
  | "kind"
  | "names"
  | "folds"
  | "wide";

export type Trait = KernelTrait | ViewTrait;

export type MessageListener = (content: unknown, buffers: readonly unknown[]) => void;

export interface Host {
  /** A page that was saved, behind which no kernel is: what is not known stays so. */
  readonly isSaved?: boolean;
  /** The raw value as it came over the wire; `state/` decides what it means. */
  get(trait: Trait): unknown;
  /** Sets a trait and tells the kernel. */
  set(trait: ViewTrait, value: unknown): void;
  /** Calls back after a change from outside, until the signal aborts. */
  onChange(trait: Trait, callback: () => void, signal: AbortSignal): void;
  send(content: Record<string, unknown>): void;
  onMessage(listener: MessageListener, signal: AbortSignal): void;
  /** Calls back once the kernel that knew the widget is gone, where the host tells. */
  onLost(callback: () => void, signal: AbortSignal): void;
}
