/**
 * GPT-2 small on indirect objects: estimates and exact effects as TransformerLens has
 * published them (their source stands in the file). Means over pairs only: per pair, and
 * attention, nothing was published, so nothing of that is shown.
 */

import type { Trait } from "../../../js/host/host";
import published from "../../data/gpt2_ioi_published.json";
import { grid, NO_JOB, TRAITS } from "./data";

const LAYERS = 12;
const HEADS = 12;
const TOKENS = 15;
/** As many of each kind as a verification of some seconds would know. */
const VERIFIED_PER_KIND = 20;

const TABLES = [
  ["resid_pre", "resid_pre[layer,pos]"],
  ["attn_out", "attn_out[layer,pos]"],
  ["mlp_out", "mlp_out[layer,pos]"],
  ["z", "head_z_all_pos[layer,head]"],
  ["q", "head_q_all_pos[layer,head]"],
  ["k", "head_k_all_pos[layer,head]"],
  ["v", "head_v_all_pos[layer,head]"],
  ["pattern", "head_pattern_all_pos[layer,head]"],
] as const;

function tokens(prompt: string): string[] {
  return ["<|endoftext|>", ...(prompt.match(/^\w+| \w+|[^\w\s]/g) ?? [])];
}

/** The corrupted prompt is the neighbour's. */
function pairs() {
  return published.prompts.map((prompt, index) => ({
    clean: tokens(prompt),
    corrupted: tokens(published.prompts[index ^ 1] ?? ""),
    answers: published.answers[index],
  }));
}

function study(difference: number) {
  const size = { n_layers: LAYERS, n_heads: HEADS, n_kv_heads: HEADS, n_pos: TOKENS };
  const each = (value: number) => published.prompts.map(() => value);
  return {
    ...(TRAITS.study as object),
    model: "gpt2-small (published by TransformerLens)",
    ...size,
    metric: {
      name: "logit_diff",
      clean: each(difference),
      corrupted: each(-difference),
    },
    scale: 2 * difference,
    pairs: pairs(),
    labels: { IO: 2, S1: 4, S2: 10, END: 14 },
  };
}

/** The largest estimates of a kind, verified. */
function verified(kind: string, atp: number[][], exact: number[][], scale: number) {
  const isHead = kind.length === 1 || kind === "pattern";
  const all = atp.flatMap((row, layer) =>
    row.map((estimate, column) => ({
      name: isHead ? `L${layer}H${column}.${kind}` : `L${layer}.${kind}@${column}`,
      estimate,
      exact: exact[layer]?.[column] ?? Number.NaN,
    })),
  );
  all.sort((a, b) => Math.abs(b.estimate) - Math.abs(a.estimate));
  return all.slice(0, VERIFIED_PER_KIND).map(({ name, ...values }) => {
    const rest = { raw: values.exact * scale, per_pair: [], halves: null };
    return [name, { ...values, ...rest, interval: null }] as const;
  });
}

/** What the page answers to all that was not published. */
export const UNPUBLISHED = "only maps of effects were published of this model";

export function gpt2(): Record<Trait, unknown> {
  const [, text = ""] = /clean logit diff ([\d.]+)/.exec(published.metric) ?? [];
  const difference = Number(text);
  const grids = TABLES.map(([kind, name]) => {
    const values = published.atp[name];
    const axes = ["layer", name.endsWith("pos]") ? "pos" : "head"];
    const shape = [values.length, values[0]?.length ?? 0] as const;
    return grid(
      kind,
      axes,
      shape,
      (row, column) => values[row]?.[column] ?? Number.NaN,
    );
  });
  const known = TABLES.flatMap(([kind, name]) =>
    verified(kind, published.atp[name], published.exact[name], 2 * difference),
  );
  const withoutSpread = Object.entries(Object.assign({}, ...grids)).map(
    ([key, value]) => [key, { ...(value as object), spread: null }],
  );
  return {
    ...TRAITS,
    study: study(difference),
    grids: Object.fromEntries(withoutSpread),
    verified: Object.fromEntries(known),
    report: {},
    job: NO_JOB,
    names: { L9H9: "name mover", L5H5: "induction", L8H6: "S-inhibition" },
    selection: ["L9H9.z", "L8H6.v"],
  };
}
