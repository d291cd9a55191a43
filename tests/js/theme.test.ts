import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { isDark, watchTheme } from "../../js/draw/theme";
import { settle, standInBrowser } from "./support";

const { body, documentElement } = document;

beforeEach(() => {
  standInBrowser();
});

afterEach(() => {
  for (const element of [body, documentElement]) {
    for (const { name } of [...element.attributes]) element.removeAttribute(name);
  }
  body.replaceChildren();
  vi.unstubAllGlobals();
});

function place(): HTMLElement {
  return body.appendChild(document.createElement("div"));
}

test.each<[string, () => void, boolean]>([
  ["a plain page", () => {}, false],
  ["JupyterLab, dark", () => body.setAttribute("data-jp-theme-light", "false"), true],
  ["JupyterLab, light", () => body.setAttribute("data-jp-theme-light", "true"), false],
  ["VS Code, dark", () => body.classList.add("vscode-dark"), true],
  ["VS Code, light", () => body.classList.add("vscode-light"), false],
  ["Colab, dark", () => documentElement.setAttribute("theme", "dark"), true],
  ["marimo, dark", () => documentElement.classList.add("dark"), true],
  [
    "a dark page without marks",
    () => body.setAttribute("style", "background: #111"),
    true,
  ],
])("%s is told", (_, prepare, dark) => {
  prepare();
  expect(isDark(place())).toBe(dark);
});

test("the nearest opaque background counts, through a shadow root as well", () => {
  body.setAttribute("style", "background: white");
  const host = place();
  host.setAttribute("style", "background: rgb(20, 20, 20)");
  const inner = document.createElement("div");
  host.attachShadow({ mode: "open" }).append(inner);
  expect(isDark(inner)).toBe(true);
});

test("a change of the host is followed until the abort, and other changes are not", async () => {
  const life = new AbortController();
  const { theme } = watchTheme(place(), life.signal);
  const first = theme.value;
  body.setAttribute("data-cursor", "moved");
  await settle();
  expect(theme.value).toBe(first);
  body.setAttribute("data-jp-theme-light", "false");
  await settle();
  expect(theme.value.dark).toBe(true);
  life.abort();
  body.setAttribute("data-jp-theme-light", "true");
  await settle();
  expect(theme.value.dark).toBe(true);
});
