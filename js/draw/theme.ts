/**
 * The host's look, for what CSS cannot reach: canvases.
 *
 * The root element carries `data-theme` and `data-lab`, which the style sheet builds on:
 * selectors for the host's own marks would not reach into marimo's shadow root.
 */

import { signal as makeSignal, type ReadonlySignal } from "@preact/signals-core";
import { onAbort } from "../host/life";
import { makePalette, type Palette } from "./colour";

export interface Theme {
  dark: boolean;
  palette: Palette;
  ink: string;
  paper: string;
  /** Marks of cells without a value. */
  hatch: string;
  /** Device pixels per CSS pixel. */
  density: number;
}

/** Follows the host until the signal aborts. `root` must be in the document's tree. */
export function watchTheme(
  root: HTMLElement,
  signal: AbortSignal,
): { theme: ReadonlySignal<Theme>; refresh: () => void } {
  const theme = makeSignal(readTheme(root));
  const refresh = () => {
    const next = readTheme(root);
    // Hosts touch their body for many reasons; only a new look is worth a repaint.
    if (look(next) !== look(theme.peek())) theme.value = next;
  };
  const observer = new MutationObserver(refresh);
  const { documentElement, body } = root.ownerDocument;
  for (const host of [documentElement, body]) {
    observer.observe(host, { attributes: true });
  }
  onAbort(signal, () => observer.disconnect());
  const preference = matchMedia("(prefers-color-scheme: dark)");
  preference.addEventListener("change", refresh, { signal });
  watchDensity(refresh, signal);
  return { theme, refresh };
}

/** A media query tells only that the density it names has ended: ask anew each time. */
function watchDensity(refresh: () => void, signal: AbortSignal): void {
  const query = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
  const onChange = () => {
    refresh();
    watchDensity(refresh, signal);
  };
  query.addEventListener("change", onChange, { once: true, signal });
}

function look({ palette: _, ...rest }: Theme): string {
  return JSON.stringify(rest);
}

function readTheme(root: HTMLElement): Theme {
  const dark = isDark(root);
  root.dataset.theme = dark ? "dark" : "light";
  const { dataset } = root.ownerDocument.body;
  root.toggleAttribute("data-lab", "jpThemeLight" in dataset);
  const style = getComputedStyle(root);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    dark,
    palette: makePalette(dark),
    ink: read("--pw-ink"),
    paper: read("--pw-paper"),
    hatch: read("--pw-hatch"),
    density: devicePixelRatio || 1,
  };
}

/** What the host says of itself, else what stands behind the widget. */
export function isDark(root: HTMLElement): boolean {
  return hostMark(root.ownerDocument) ?? backdropIsDark(root) ?? schemeIsDark(root);
}

function hostMark({ body, documentElement }: Document): boolean | null {
  const jupyter = body.dataset.jpThemeLight;
  if (jupyter !== undefined) return jupyter === "false";
  if (
    body.matches(".vscode-dark, .vscode-high-contrast:not(.vscode-high-contrast-light)")
  )
    return true;
  if (body.matches(".vscode-light, .vscode-high-contrast-light")) return false;
  const colab = documentElement.getAttribute("theme");
  if (colab !== null) return colab === "dark";
  const marimo = ".dark, .dark-theme";
  return body.matches(marimo) || documentElement.matches(marimo) ? true : null;
}

/** The first opaque background behind the widget; null where all are clear. */
function backdropIsDark(root: HTMLElement): boolean | null {
  for (let at = parentOf(root); at !== null; at = parentOf(at)) {
    const { light, alpha } = readColour(getComputedStyle(at).backgroundColor);
    if (alpha > 0.5) return light < 0.43;
  }
  return null;
}

/**
 * How light and how opaque a colour is, 0 to 1 each. Browsers keep the notation that a
 * page has chosen: marimo's white is `color(srgb 1 1 1)`.
 */
function readColour(text: string): { light: number; alpha: number } {
  const [, notation = "", values = ""] =
    text.match(/^(\w+)\((?:[a-z][\w-]* )?(.*)\)$/) ?? [];
  const [first = 0, second = 0, third = 0, alpha = 1] = (
    values.match(/[\d.]+/g) ?? []
  ).map(Number);
  const luma = 0.299 * first + 0.587 * second + 0.114 * third;
  if (/^rgba?$/.test(notation)) return { light: luma / 255, alpha };
  if (notation === "color") return { light: luma, alpha };
  if (/^okl(ab|ch)$/.test(notation)) return { light: first, alpha };
  if (/^l(ab|ch)$/.test(notation)) return { light: first / 100, alpha };
  return { light: 1, alpha: 0 }; // nothing that could be told
}

/** A page that follows the system says so with `color-scheme`. */
function schemeIsDark(root: HTMLElement): boolean {
  const scheme = getComputedStyle(root.ownerDocument.documentElement).colorScheme ?? "";
  if (!scheme.includes("dark")) return false;
  return (
    !scheme.includes("light") || matchMedia("(prefers-color-scheme: dark)").matches
  );
}

function parentOf(element: Element): Element | null {
  const root = element.getRootNode();
  return element.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
}
