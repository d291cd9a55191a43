"""Every Python block of the README runs, one after the other, as a reader would run them."""

from __future__ import annotations

from pathlib import Path

from prose import blocks, run

README = Path(__file__).parents[2] / "README.md"


def test_it_has_blocks():
    assert len(blocks(README)) >= 5


def test_every_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some of them write files
    namespace = run(README)
    assert namespace["exact"]["L2H0.v"].value != 0
    assert namespace["found"].settled
    assert namespace["widget"].method == "relp"
    namespace["widget"].close()
