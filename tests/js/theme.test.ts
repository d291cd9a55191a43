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

test.each<[string, boolean]>([
  ["rgb(255, 255, 255)", false],
  ["rgb(24, 28, 26)", true],
  ["rgba(255, 255, 255, 0.2)", true],
  ["color(srgb 1 1 1)", false],
  ["color(srgb 0.09 0.11 0.1)", true],
  ["color(display-p3 0.95 0.95 0.95)", false],
  ["color(srgb 1 1 1 / 0.1)", true],
  ["oklch(0.99 0.01 250)", false],
  ["oklab(0.2 -0.01 0.01)", true],
  ["lab(95 0 0)", false],
  ["lch(12% 3 40)", true],
  ["transparent", true],
])("a backdrop of %s is told, in whatever notation", (backgroundColor, dark) => {
  // What shines through is the page behind it, which is dark.
  const backdrop = place();
  const root = backdrop.appendChild(document.createElement("div"));
  vi.spyOn(window, "getComputedStyle").mockImplementation(
    (element) =>
      ({
        backgroundColor: element === backdrop ? backgroundColor : "rgb(9, 9, 9)",
      }) as CSSStyleDeclaration,
  );
  expect(isDark(root)).toBe(dark);
  vi.restoreAllMocks();
});

test("only JupyterLab's own page is told by its variables", async () => {
  const root = place();
  const life = new AbortController();
  document.documentElement.style.setProperty("--jp-layout-color0", "white");
  body.classList.add("vscode-dark");
  watchTheme(root, life.signal);
  expect(root.hasAttribute("data-lab")).toBe(false);
  body.setAttribute("data-jp-theme-light", "true");
  await settle();
  expect(root.hasAttribute("data-lab")).toBe(true);
  life.abort();
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
