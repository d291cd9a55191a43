/** Stands in for draw/dom.ts within this bundle: see js/build.mjs. */

import type { Kit } from "./kit";

type Dom = Kit["dom"];

export let button: Dom["button"];
export let el: Dom["el"];
export let isPlain: Dom["isPlain"];
export let keyed: Dom["keyed"];
export let listen: Dom["listen"];
export let live: Dom["live"];
export let react: Dom["react"];
export let setAttributes: Dom["setAttributes"];
export let svgEl: Dom["svgEl"];

export function useDom(dom: Dom): void {
  ({ button, el, isPlain, keyed, listen, live, react, setAttributes, svgEl } = dom);
}
