/** Taking the circuit along: as a picture, and as text that loads again. */

import { signal as makeSignal } from "@preact/signals-core";
import { button, el, listen, react } from "../../draw/dom";
import type { Parcel } from "../../host/clipboard";
import { MESSAGE_KINDS, messageOf } from "../../host/messages";
import { fields, record, text, whole } from "../../state/shape";
import { counted } from "../../views/words";
import type { CircuitView } from "./view";

export function sketchTools(view: CircuitView, picture: HTMLElement): HTMLElement {
  const { kit, store, theme, circuit, signal } = view;
  const status = el("span", { class: "pw-quiet", role: "status" });
  const svg = () => ({
    content: kit.pictureOf([picture], theme.peek().paper),
    name: "circuit.svg",
  });
  const tool = (label: string, make: () => Parcel | Promise<Parcel>) =>
    button(label, () => void give(view, status, make), signal);
  const copySvg = tool("copy SVG", svg);
  const copyJson = tool("copy JSON", () => json(view));
  const loader = loading(view, status);
  copyJson.hidden = loader.hidden = store.isSaved;
  react(signal, () => {
    copySvg.disabled = copyJson.disabled = circuit.value.paths.size === 0;
  });
  return el("div", "pw-sketch-tools", copySvg, copyJson, loader, status);
}

async function give(
  { kit }: CircuitView,
  status: HTMLElement,
  make: () => Parcel | Promise<Parcel>,
): Promise<void> {
  try {
    const parcel = await make();
    const done = await kit.handOver(parcel);
    status.textContent = done === "copied" ? "copied" : `saved as ${parcel.name}`;
  } catch (error) {
    status.textContent = `not copied: ${messageOf(error) ?? "given up"}`;
  }
}

async function json({ store, signal }: CircuitView): Promise<Parcel> {
  const { circuitJson } = MESSAGE_KINDS;
  const { payload } = await store.channel.request(circuitJson, {}, { signal });
  const content = text(record(payload, "circuit").text, "circuit.text");
  return { content, name: "circuit.json" };
}

/** A field to paste into, or a file. */
function loading({ store, signal }: CircuitView, status: HTMLElement): HTMLElement {
  const isOpen = makeSignal(false);
  const flip = () => {
    isOpen.value = !isOpen.peek();
  };
  const handle = button("load JSON …", flip, signal);
  const field = el("textarea", {
    class: "pw-input",
    rows: 3,
    placeholder: "paste here what “copy JSON” made",
    "aria-label": "Circuit as JSON",
  });
  const file = el("input", {
    type: "file",
    accept: ".json,application/json",
    "aria-label": "A file that holds a circuit",
  });
  async function load(content: string): Promise<void> {
    try {
      const { circuitLoad } = MESSAGE_KINDS;
      const body = { text: content };
      const { payload } = await store.channel.request(circuitLoad, body, { signal });
      status.textContent = `${counted(readCount(payload, "loaded").paths, "path")} loaded`;
      isOpen.value = false;
    } catch (error) {
      status.textContent = `not loaded: ${messageOf(error) ?? "given up"}`;
    }
  }
  const choose = async () => {
    const [chosen] = file.files ?? [];
    if (chosen) await load(await chosen.text());
    file.value = ""; // so that the same one can be chosen again
  };
  listen(file, { change: () => void choose() }, signal);
  const line = el(
    "div",
    "pw-load",
    field,
    button("load", () => void load(field.value), signal),
    file,
  );
  react(signal, () => {
    line.hidden = !isOpen.value;
    handle.setAttribute("aria-expanded", `${isOpen.value}`);
  });
  return el("div", "pw-loader", handle, line);
}

const readCount = fields<{ paths: number }>({ paths: whole });
