"""The build hook: npm runs where the bundle is missing, and nowhere else."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

HOOK = Path(__file__).parents[2] / "js/hatch_build.py"


@pytest.fixture
def module():
    spec = importlib.util.spec_from_file_location("hatch_build", HOOK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def npm_calls(module, monkeypatch):
    calls = []
    monkeypatch.setattr(module.shutil, "which", lambda _: "npm")
    monkeypatch.setattr(
        module.subprocess, "run", lambda command, **_: calls.append(command[1])
    )
    return calls


def run_hook(module, root, version="standard"):
    hook = module.BundleHook(str(root), {}, None, None, str(root), "wheel")
    hook.initialize(version, {})


def write_bundle(root):
    folder = root / "patchwidget/static"
    folder.mkdir(parents=True)
    for name in ("widget.js", "widget.css", "export.js", "circuit.js", "circuit.css"):
        (folder / name).touch()


def test_a_missing_bundle_is_built(module, npm_calls, tmp_path):
    run_hook(module, tmp_path)
    assert npm_calls == ["ci", "run"]


def test_a_bundle_that_is_there_is_kept(module, npm_calls, tmp_path):
    write_bundle(tmp_path)
    run_hook(module, tmp_path)
    assert npm_calls == []


def test_half_a_bundle_is_built_again(module, npm_calls, tmp_path):
    write_bundle(tmp_path)
    (tmp_path / "patchwidget/static/widget.css").unlink()
    run_hook(module, tmp_path)
    assert npm_calls == ["ci", "run"]


def test_an_editable_install_needs_no_npm(module, npm_calls, tmp_path):
    run_hook(module, tmp_path, version="editable")
    assert npm_calls == []


def test_the_skip_variable_is_honoured(module, npm_calls, tmp_path, monkeypatch):
    monkeypatch.setenv("PATCHWIDGET_SKIP_BUNDLE", "1")
    run_hook(module, tmp_path)
    assert npm_calls == []


def test_without_npm_the_error_says_what_to_do(module, tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(RuntimeError, match=r"Node\.js 20.*PATCHWIDGET_SKIP_BUNDLE=1"):
        run_hook(module, tmp_path)
