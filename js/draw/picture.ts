/** A part of the page as one SVG: canvases as images, everything else as shapes and text. */

import { setAttributes, svgEl } from "./dom";

/** What the page's style sheet gives to shapes and text, and a file of its own lacks. */
const STYLES = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-opacity",
  "stroke-width",
  "stroke-dasharray",
  "font-family",
  "font-size",
  "font-style",
  "font-weight",
  "opacity",
] as const;

/** Controls are for using, not for looking at. */
const LEFT_OUT =
  "button, input, select, textarea, progress, iframe, .pw-not-in-picture";
/** Parts of which only some is on the screen. */
const CLIPPED = ".pw-scrolls, .pw-strip";
const MARGIN = 8;

/** The parts must be laid out, and their canvases drawn. */
export function pictureOf(parts: readonly HTMLElement[], paper: string): string {
  const boxes = parts.map((part) => part.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left)) - MARGIN;
  const width = Math.max(...boxes.map((box) => box.right)) + MARGIN - left;
  let height = MARGIN;
  const svg = svgEl("svg", { xmlns: "http://www.w3.org/2000/svg" });
  const backdrop = svg.appendChild(svgEl("rect", { fill: paper }));
  parts.forEach((part, index) => {
    const box = boxes[index] ?? new DOMRect();
    const group = svgEl("g", {});
    addElement(group, part, { left, top: box.top - height });
    svg.append(group);
    height += box.height + MARGIN;
  });
  for (const element of [svg, backdrop]) setAttributes(element, { width, height });
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return new XMLSerializer().serializeToString(svg);
}

interface Origin {
  left: number;
  top: number;
}

function addElement(target: SVGElement, element: Element, origin: Origin): void {
  const box = element.getBoundingClientRect();
  if (element.matches(LEFT_OUT) || box.width === 0 || box.height === 0) return;
  if (element instanceof HTMLCanvasElement) {
    target.append(canvasImage(element, box, origin));
  } else if (element instanceof SVGSVGElement) {
    target.append(withStyles(element, box, origin));
  } else {
    addBackground(target, element, box, origin);
    const inside = element.matches(CLIPPED) ? clipped(target, box, origin) : target;
    for (const child of element.childNodes) {
      if (child instanceof Element) addElement(inside, child, origin);
      else if (child instanceof Text) addText(inside, child, origin);
    }
  }
}

function placed({ left, top, width, height }: DOMRect, origin: Origin) {
  return { x: left - origin.left, y: top - origin.top, width, height };
}

/** An SVG within an SVG shows only what lies inside of it. */
function clipped(target: SVGElement, box: DOMRect, origin: Origin): SVGElement {
  const place = placed(box, origin);
  const viewBox = Object.values(place).join(" ");
  return target.appendChild(svgEl("svg", { ...place, viewBox }));
}

function canvasImage(
  canvas: HTMLCanvasElement,
  box: DOMRect,
  origin: Origin,
): SVGElement {
  const style = "image-rendering: pixelated";
  return svgEl("image", {
    ...placed(box, origin),
    href: canvas.toDataURL("image/png"),
    style,
  });
}

function withStyles(svg: SVGSVGElement, box: DOMRect, origin: Origin): SVGElement {
  const copy = svg.cloneNode(true) as SVGSVGElement; // a node's clone is of its own kind
  const originals = [svg, ...svg.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, index) => {
    const original = originals[index];
    if (original) setAttributes(element, stylesOf(original));
    element.removeAttribute("class");
  });
  setAttributes(copy, { ...placed(box, origin), overflow: "visible" });
  return copy;
}

function stylesOf(element: Element): Record<string, string> {
  const computed = getComputedStyle(element);
  const styles = STYLES.map((name) => [name, computed.getPropertyValue(name)]);
  return Object.fromEntries(styles.filter(([, value]) => value));
}

/** Marks that are boxes with a background: swatches, bands of tokens. */
function addBackground(
  target: SVGElement,
  element: Element,
  box: DOMRect,
  origin: Origin,
): void {
  const fill = getComputedStyle(element).backgroundColor;
  if (!fill || fill === "transparent" || /, 0\)$/.test(fill)) return;
  target.append(svgEl("rect", { ...placed(box, origin), fill }));
}

/** Word by word, since a line may break anywhere between them. */
function addText(target: SVGElement, text: Text, origin: Origin): void {
  const parent = text.parentElement;
  if (!parent) return;
  const { fill: _, ...style } = stylesOf(parent);
  const fill = getComputedStyle(parent).color;
  for (const { index, 0: word } of text.data.matchAll(/\S+/g)) {
    const range = document.createRange();
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    const box = range.getBoundingClientRect();
    if (box.width === 0) continue;
    const x = box.left - origin.left;
    const y = box.top - origin.top + box.height / 2;
    const place = { x, y, "dominant-baseline": "central" };
    target.append(svgEl("text", { ...place, ...style, fill }, word));
  }
}

/** An SVG as pixels, `scale` of them for each CSS pixel. */
export async function toPng(svg: string, scale: number): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.naturalWidth * scale);
  canvas.height = Math.round(image.naturalHeight * scale);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no canvas to draw on");
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    const done = (blob: Blob | null) =>
      blob ? resolve(blob) : reject(new Error("the picture is too large"));
    canvas.toBlob(done, "image/png");
  });
}
