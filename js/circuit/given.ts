/** Stands in, within this bundle, for what the widget hands over: see js/build.mjs. */

import type { Kit } from "./kit";

type Given = Kit["shared"];

export let button: Given["button"];
export let createAsked: Given["createAsked"];
export let el: Given["el"];
export let isPlain: Given["isPlain"];
export let keyed: Given["keyed"];
export let listen: Given["listen"];
export let live: Given["live"];
export let positionName: Given["positionName"];
export let react: Given["react"];
export let setAttributes: Given["setAttributes"];
export let signed: Given["signed"];
export let svgEl: Given["svgEl"];
export let tick: Given["tick"];
export let unsigned: Given["unsigned"];

export function useGiven(given: Given): void {
  ({ button, createAsked, el, isPlain, keyed, listen, live, positionName } = given);
  ({ react, setAttributes, signed, svgEl, tick, unsigned } = given);
}
