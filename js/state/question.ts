/** What is asked above the maps, and what the kernel said of the picks. */

import { fields, flag, list, nullable, type Reader, text, whole } from "./shape";

export interface Question {
  /** Another one for every question that is asked. */
  id: number;
  prompt: string;
  hints: string[];
  /** Of the last check; null before one. */
  reply: { right: boolean; words: string; picks: string[] } | null;
  /** Null until somebody asks for it. */
  solution: string | null;
}

const readSent: Reader<Question> = fields({
  id: whole,
  prompt: text,
  hints: list(text),
  reply: nullable(fields({ right: flag, words: text, picks: list(text) })),
  solution: nullable(text),
});

/** Null where nothing is asked. */
export function readQuestion(value: unknown): Question | null {
  const isEmpty = value == null || Object.keys(value).length === 0;
  return isEmpty ? null : readSent(value, "question");
}
