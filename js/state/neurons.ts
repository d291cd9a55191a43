/** The neurons of largest estimated effect, as the kernel ranks them. */

import { type Channel, MESSAGE_KINDS, type Reply } from "../host/messages";
import { type AskedStore, createAsked } from "./asked";
import { floats, list, record, text, whole } from "./shape";

export interface NeuronQuestion {
  top: number;
  /** Null for all layers. */
  layer: number | null;
  method: string;
}

export interface NeuronList {
  method: string;
  /** Largest first, and the estimate of each. */
  names: string[];
  estimates: Float32Array;
  /** How many neurons there are, at all positions. */
  total: number;
}

export type NeuronStore = AskedStore<NeuronQuestion, NeuronList>;

export interface Neuron {
  layer: number;
  pos: number;
  neuron: number;
}

const NAME = /^L(\d+)\.neuron@(\d+)#(\d+)$/;

/** `L3.neuron@5#17`; null for a name that is no neuron. */
export function parseNeuron(name: string): Neuron | null {
  const [, layer, pos, neuron] = NAME.exec(name) ?? [];
  if (layer === undefined) return null;
  return { layer: Number(layer), pos: Number(pos), neuron: Number(neuron) };
}

export function neuronKey({ top, layer, method }: NeuronQuestion): string {
  return `${method}|${layer ?? "all"}|${top}`;
}

export function createNeurons(channel: Channel): NeuronStore {
  return createAsked(neuronKey, async ({ top, layer }, signal) => {
    const body = { top, layer };
    return readNeurons(
      await channel.request(MESSAGE_KINDS.neuronsGet, body, { signal }),
    );
  });
}

function readNeurons({ payload, buffers }: Reply): NeuronList {
  const raw = record(payload, "neurons");
  const names = list(text)(raw.names, "neurons.names");
  const estimates = floats(buffers[0], "neurons.estimates", names.length);
  return {
    method: text(raw.method, "neurons.method"),
    names,
    estimates,
    total: whole(raw.total, "neurons.total"),
  };
}
