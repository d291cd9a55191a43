"""VS Code's and Colab's looks: their marks, variables and containers on a page.

Neither can be run here: what stands around a widget in them is set as both document it,
and as their widgets' code does. `test_hosts.py` and `test_marimo.py` have real hosts.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

# What ipywidgets' own style sheet sets for every host without a theme of JupyterLab's:
# VS Code and Colab have it, in the dark as well.
LAB_VARIABLES = {
    "--jp-ui-font-color1": "rgba(0, 0, 0, 0.87)",
    "--jp-ui-font-color2": "rgba(0, 0, 0, 0.54)",
    "--jp-layout-color0": "white",
    "--jp-border-color2": "#e0e0e0",
    "--jp-brand-color1": "#1976d2",
    "--jp-error-color1": "#d32f2f",
}
# Of the themes "Dark Modern" and "Light Modern", as a notebook's output has them.
VS_CODE = {
    "dark": {
        "--vscode-editor-background": "#1f1f1f",
        "--vscode-editor-foreground": "#cccccc",
        "--vscode-descriptionForeground": "#9d9d9d",
        "--vscode-errorForeground": "#f85149",
        "--vscode-focusBorder": "#0078d4",
        "--vscode-font-family": "sans-serif",
        "--vscode-editor-font-family": "monospace",
    },
    "light": {
        "--vscode-editor-background": "#ffffff",
        "--vscode-editor-foreground": "#3b3b3b",
        "--vscode-descriptionForeground": "#3b3b3b",
        "--vscode-errorForeground": "#f85149",
        "--vscode-focusBorder": "#005fb8",
        "--vscode-font-family": "sans-serif",
        "--vscode-editor-font-family": "monospace",
    },
}
# One output of a notebook, whose box is white whatever the theme is.
VS_CODE_LOOK = """([theme, variables]) => {
  const { body, documentElement: root } = document;
  delete body.dataset.jpThemeLight;
  for (const [name, value] of Object.entries(variables)) {
    root.style.setProperty(name, value);
  }
  body.className = `vscode-${theme}`;
  body.dataset.vscodeThemeKind = `vscode-${theme}`;
  body.style.background = variables["--vscode-editor-background"];
  const box = document.querySelector("main");
  box.className = "cell-output-ipywidget-background";
  box.style.background = "white";
}"""
# One output's frame, as wide as its cell, with nothing behind it.
COLAB_LOOK = """([theme, variables]) => {
  const { body, documentElement: root } = document;
  delete body.dataset.jpThemeLight;
  for (const [name, value] of Object.entries(variables)) {
    root.style.setProperty(name, value);
  }
  root.setAttribute("theme", theme);
  body.style.color = theme === "dark" ? "#e3e3e3" : "#1f1f1f";
}"""
SHOWN = """() => {
  const root = document.querySelector(".pw-root");
  const { color, backgroundColor } = getComputedStyle(root);
  const canvas = root.querySelector("canvas.pw-grid[data-drawn]");
  const [red, green, blue] = canvas.getContext("2d").getImageData(2, 2, 1, 1).data;
  return {theme: root.dataset.theme, ink: color, paper: backgroundColor,
    cell: (red + green + blue) / 3};
}"""


with_variables = pytest.mark.parametrize(
    "variables",
    [
        pytest.param(LAB_VARIABLES, id="ipywidgets"),
        pytest.param({}, id="plain", marks=pytest.mark.long),
    ],
)


def rgb(colour):
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


def check_look(page, theme, pictures):
    """Light or dark as the host is, in everything, and legible."""
    page.settle()
    shown = page.page.evaluate(SHOWN)
    pictures.mkdir(parents=True, exist_ok=True)
    page.page.screenshot(path=pictures / f"{theme}.png", full_page=True)
    assert shown["theme"] == theme
    assert (shown["cell"] > 128) == (theme == "light"), "a cell without an effect"
    assert page.axe() == []
    return shown


@with_variables
def test_vs_code(open_page, pictures, variables):
    """Switched live, with an error to show and picks in the attention."""
    page = open_page("failed", width=1000)
    for theme, own in VS_CODE.items():
        page.page.evaluate(VS_CODE_LOOK, [theme, {**variables, **own}])
        shown = check_look(page, theme, pictures)
        assert shown["paper"] == rgb(own["--vscode-editor-background"])
        assert shown["ink"] == rgb(own["--vscode-editor-foreground"])
    assert page.errors == []


@with_variables
def test_colab(open_page, pictures, variables):
    page = open_page("failed", width=1100)
    wide = page.page.evaluate("document.documentElement.clientWidth")
    for theme in ("dark", "light"):
        page.page.evaluate(COLAB_LOOK, [theme, variables])
        shown = check_look(page, theme, pictures)
        assert shown["paper"] == (
            "rgb(21, 23, 26)" if theme == "dark" else "rgb(255, 255, 255)"
        )
    assert page.page.locator(".pw-root").bounding_box()["width"] == wide
    assert page.errors == []


def test_a_contrast_that_is_too_low_is_found(open_page):
    page = open_page("tiny")
    page.page.add_style_tag(content=".pw-root { --pw-quiet: #eee !important; }")
    assert any("contrast" in found for found in page.axe())
