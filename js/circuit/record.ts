/** What was found out about paths and circuits, as the kernel tells it. */

import { readEntries } from "../state/mirror";
import {
  fields,
  list,
  measured,
  nullable,
  oneOf,
  optional,
  type Reader,
  record,
  ShapeError,
  table,
  text,
  whole,
} from "../state/shape";

/** A path that was patched exactly. */
export interface PathResult {
  writer: string;
  reader: string;
  estimate: number | null;
  exact: number;
  /** A bootstrap interval of `exact` over pairs. */
  interval: readonly number[] | null;
  /** Whether it was run here, or comes from a file. */
  source: "run" | "file";
}

export interface InteractionSide {
  /** What each node does alone. */
  effects: number[];
  /** What two do beyond the sum of both, row by row. */
  matrix: number[][];
}

export interface Interactions {
  nodes: string[];
  /** From where on an interaction counts, in words. */
  threshold: string;
  sides: ReadonlyMap<string, InteractionSide>;
  /** What it says of two nodes, in words. */
  words: string[][];
}

/** A later head that makes up for the patched nodes. */
export interface Response {
  head: string;
  before: number;
  change: number;
  role: string;
}

export interface Repair {
  /** What was patched. */
  nodes: string[];
  shape: number[];
  /** Of each head's direct effect, layer by layer; NaN where there is none. */
  change: number[][];
  before: number[][];
  against: Response[];
  /** How much of the patch's own effect is undone. */
  undone: number;
  words: string;
}

/** How faithful, minimal and complete a circuit is. */
export interface Judged {
  faithfulness: number;
  minimality: ReadonlyMap<string, number>;
  complement: number;
  incompleteness: number;
  words: string;
}

export interface Story extends Judged {
  nodes: string[];
}

export interface PathStory extends Judged {
  paths: string[];
}

export interface Circuit {
  paths: ReadonlyMap<string, PathResult>;
  interactions: Interactions | null;
  repair: Repair | null;
  story: Story | null;
  /** Of the paths that were verified by then. */
  pathStory: PathStory | null;
  /** What could not be read of it. */
  problems: readonly string[];
}

const rows = list(list(measured));

const readPath = fields<PathResult>({
  writer: text,
  reader: text,
  estimate: nullable(measured),
  exact: measured,
  interval: nullable(list(measured)),
  source: optional(oneOf("run", "file"), "run"),
});

const readInteractions = fields<Interactions>({
  nodes: list(text),
  threshold: text,
  sides: table(fields<InteractionSide>({ effects: list(measured), matrix: rows })),
  words: list(list(text)),
});

const readRepair = fields<Repair>({
  nodes: list(text),
  shape: list(whole),
  change: rows,
  before: rows,
  against: list(
    fields<Response>({ head: text, before: measured, change: measured, role: text }),
  ),
  undone: measured,
  words: text,
});

const JUDGED = {
  faithfulness: measured,
  minimality: table(measured),
  complement: measured,
  incompleteness: measured,
  words: text,
};
const readStory = fields<Story>({ nodes: list(text), ...JUDGED });
const readPathStory = fields<PathStory>({ paths: list(text), ...JUDGED });

/**
 * Part by part: one that cannot be read does not hide the others. A part that has come
 * again is the one that was there, or it would be drawn anew with every path.
 */
export function circuitReader(): (value: unknown) => Circuit {
  const parts = {
    paths: remembered<Circuit["paths"]>(readPaths, new Map()),
    interactions: remembered(ofPart("interactions", readInteractions), null),
    repair: remembered(ofPart("repair", readRepair), null),
    story: remembered(ofPart("story", readStory), null),
    pathStory: remembered(ofPart("path_story", readPathStory), null),
  };
  return (value) => {
    const problems: string[] = [];
    const raw = attempt(() => record(value ?? {}, "circuit"), {}, problems);
    return {
      paths: parts.paths(raw.paths, problems),
      interactions: parts.interactions(raw.interactions, problems),
      repair: parts.repair(raw.repair, problems),
      story: parts.story(raw.story, problems),
      pathStory: parts.pathStory(raw.path_story, problems),
      problems,
    };
  };
}

type Read<T> = (value: unknown, problems: string[]) => T;

function remembered<T>(read: Read<T>, fallback: T): Read<T> {
  let [text, last, complaints]: [string, T, string[]] = ["", fallback, []];
  return (value, problems) => {
    const now = JSON.stringify(value ?? null);
    if (now !== text) {
      [text, complaints] = [now, []];
      last = attempt(() => read(value, complaints), fallback, complaints);
    }
    problems.push(...complaints);
    return last;
  };
}

function attempt<T>(read: () => T, fallback: T, problems: string[]): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    problems.push(error.message);
    return fallback;
  }
}

function readPaths(value: unknown, problems: string[]): Circuit["paths"] {
  const complain = ({ message }: ShapeError) => void problems.push(message);
  return readEntries(value, "circuit.paths", readPath, complain);
}

function ofPart<T>(name: string, read: Reader<T>): Read<T | null> {
  return (value) => nullable(read)(value, `circuit.${name}`);
}
