/** Readers that check a wire value's shape and name the place where it is wrong. */

export class ShapeError extends Error {
  constructor(where: string, expected: string, value: unknown) {
    super(`${where}: expected ${expected}, got ${describe(value)}`);
  }
}

export type Reader<T> = (value: unknown, where: string) => T;

export function record(value: unknown, where: string): Record<string, unknown> {
  if (!isRecord(value)) throw new ShapeError(where, "an object", value);
  return value;
}

export function text(value: unknown, where: string): string {
  if (typeof value !== "string") throw new ShapeError(where, "text", value);
  return value;
}

export function whole(value: unknown, where: string): number {
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new ShapeError(where, "a whole number", value);
  }
  return value;
}

/** A measured value. JSON has no NaN: it travels as null, or as the word. */
export function measured(value: unknown, where: string): number {
  if (typeof value === "number") return value;
  if (value === null || value === "nan") return Number.NaN;
  if (value === "inf") return Number.POSITIVE_INFINITY;
  if (value === "-inf") return Number.NEGATIVE_INFINITY;
  throw new ShapeError(where, "a number", value);
}

export function nullable<T>(read: Reader<T>): Reader<T | null> {
  return optional<T | null>(read, null);
}

export function list<T>(read: Reader<T>): Reader<T[]> {
  return (value, where) => {
    if (!Array.isArray(value)) throw new ShapeError(where, "a list", value);
    return value.map((item, index) => read(item, `${where}[${index}]`));
  };
}

export function table<T>(read: Reader<T>): Reader<Map<string, T>> {
  return (value, where) => {
    const entries = Object.entries(record(value, where));
    return new Map(entries.map(([key, item]) => [key, read(item, `${where}.${key}`)]));
  };
}

/** An object with a reader for each field; `perPair` travels as `per_pair`. */
export function fields<T>(
  readers: { readonly [K in keyof T]: Reader<T[K]> },
): Reader<T> {
  const all = Object.entries<Reader<unknown>>(readers).map(([name, read]) => {
    const sent = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return { name, sent, read };
  });
  return (value, where) => {
    const raw = record(value, where);
    const found = all.map(({ name, sent, read }) => [
      name,
      read(raw[sent], `${where}.${sent}`),
    ]);
    return Object.fromEntries(found) as T; // an entry for each key of T
  };
}

/** For a field that may be left out. */
export function optional<T>(read: Reader<T>, fallback: T): Reader<T> {
  return (value, where) => (value == null ? fallback : read(value, where));
}

export function flag(value: unknown, where: string): boolean {
  if (typeof value !== "boolean") throw new ShapeError(where, "true or false", value);
  return value;
}

export function oneOf<T extends string>(...allowed: readonly T[]): Reader<T> {
  return (value, where) => {
    const found = allowed.find((word) => word === value);
    if (found === undefined) throw new ShapeError(where, allowed.join(" | "), value);
    return found;
  };
}

/** As many float32 numbers of a binary value as there must be. */
export function floats(value: unknown, where: string, count: number): Float32Array {
  return new Float32Array(copied(value, where, count, Float32Array));
}

/** As many uint16 numbers of a binary value as there must be. */
export function shorts(value: unknown, where: string, count: number): Uint16Array {
  return new Uint16Array(copied(value, where, count, Uint16Array));
}

/**
 * Copied, because a view into a message may begin at any byte; every platform that
 * runs a browser is little-endian, like the wire.
 */
function copied(
  value: unknown,
  where: string,
  count: number,
  { name, BYTES_PER_ELEMENT: unit }: { name: string; BYTES_PER_ELEMENT: number },
): ArrayBuffer | SharedArrayBuffer {
  const view = value instanceof ArrayBuffer ? new DataView(value) : value;
  if (!ArrayBuffer.isView(view)) throw new ShapeError(where, `bytes (${name})`, value);
  if (view.byteLength !== count * unit) {
    const size = view.byteLength / unit;
    throw new ShapeError(where, `${count} values (${name})`, size);
  }
  const end = view.byteOffset + view.byteLength;
  return view.buffer.slice(view.byteOffset, end);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return JSON.stringify(value) ?? "nothing";
}
