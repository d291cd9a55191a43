"""A page of its own: the front end, what it shows, and nothing that needs a network.

Code and state lie in the page as JSON text, which no browser runs; a small script (twin:
js/export.ts) reads both and draws. Text of the study is inert wherever it stands.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from patchwidget.widget.wire import Record

_STATIC = Path(__file__).parents[1] / "static"
# The page may run what it carries, and reach for nothing: a browser holds it to that.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --page: #fff; --ink: #1f2328; }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #15171a; --ink: #e3e6ea; }} }}
body {{ margin: 0; background: var(--page); color: var(--ink); }}
#pw-notes {{ max-width: 72em; padding: 2px 10px; font: 13px/1.45 system-ui, sans-serif; }}
#pw-notes p {{ margin: 6px 0; }}
{css}
</style>
</head>
<body>
<main>
<header id="pw-notes">
{notes}
</header>
<noscript><p>The views below need JavaScript.</p></noscript>
<div id="pw-widget"></div>
</main>
<script type="application/json" id="pw-bundle">{bundle}</script>
<script type="application/json" id="pw-saved">{saved}</script>
<script type="module">
{script}
</script>
</body>
</html>
"""


def document(
    title: str,
    notes: Sequence[str],
    traits: Mapping[str, Any],
    answers: Mapping[str, Record],
) -> str:
    """A whole page.

    Args:
        title: plain text.
        notes: plain text, each a paragraph above the widget.
        traits: the state of the widget.
        answers: by `answer_key`, what the kernel answers: `{"payload", "buffers"}`.

    Raises:
        ValueError: if a number of the state is not finite and not in bytes.
    """
    return _PAGE.format(
        policy=_POLICY,
        title=escape(title),
        notes="\n".join(f"<p>{escape(note)}</p>" for note in notes),
        css=_front_end("widget.css"),
        bundle=_inert(_front_end("widget.js")),
        saved=_inert(_packed({"traits": dict(traits), "answers": dict(answers)})),
        script=_front_end("export.js"),
    )


def _front_end(name: str) -> str:
    return (_STATIC / name).read_text("utf-8")


def answer_key(kind: str, *names: object) -> str:
    """Under which an answer is found: the kind of the request, and what it names."""
    return " ".join(map(str, (kind, *names)))


def _inert(value: Any) -> str:
    """JSON that ends no element: a `<` could begin `</script>` or `<!--`."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _packed(value: Any) -> Record:
    """Bytes apart from the rest, which can then be JSON."""
    found: list[tuple[list[str | int], bytes]] = []
    plain = _without_bytes(value, [], found)
    return {
        "value": plain,
        "paths": [path for path, _ in found],
        "buffers": [base64.b64encode(data).decode() for _, data in found],
    }


def _without_bytes(
    value: Any, path: list[str | int], found: list[tuple[list[str | int], bytes]]
) -> Any:
    if isinstance(value, bytes):
        found.append((path, value))
        return None
    if isinstance(value, Mapping):
        return {
            key: _without_bytes(item, [*path, key], found)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            _without_bytes(item, [*path, index], found)
            for index, item in enumerate(value)
        ]
    return value


def write_whole(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file that is there in full or not at all; an older one is replaced.

    Raises:
        OSError: if it cannot be written; an older file is then as it was.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return path


class Snapshot:
    """A page inside a notebook's output, which stays when the notebook is saved.

    Args:
        page: a whole HTML document.
        caption: plain text, all that is left where a viewer shows no frames.
        height: of the frame, in CSS pixels.

    Example:
        >>> from patchwidget.widget.export import Snapshot
        >>> Snapshot("<p>a page</p>", "A page", 200)
        <Snapshot: A page>
    """

    def __init__(self, page: str, caption: str, height: int) -> None:
        self._page, self._caption, self._height = page, caption, height

    def __repr__(self) -> str:
        return f"<Snapshot: {self._caption}>"

    def _repr_html_(self) -> str:
        caption = escape(self._caption)
        # Scripts run in an origin of their own: the notebook is not theirs to touch.
        return (
            f'<iframe sandbox="allow-scripts allow-downloads" title="{caption}" '
            f'srcdoc="{escape(self._page)}" '
            f'style="width: 100%; height: {self._height}px; border: 0"></iframe>'
            f"<small>{caption}. An empty frame means that this viewer runs no scripts, "
            "or that the notebook is not trusted.</small>"
        )
