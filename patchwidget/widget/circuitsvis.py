"""Heads in CircuitsVis, as a document of its own for a frame that may only run scripts."""

from __future__ import annotations

from html import escape

from patchwidget.attention import Attention

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="background: white; color: black">
{body}
</body>
</html>
"""


def document(attention: Attention, pair: int) -> str:
    """A whole document that shows heads on the clean run, its script included.

    Args:
        attention: of these heads.
        pair: of which pair; -1 is the mean.
    """
    heads = ", ".join(f"L{layer}H{head}" for layer, head in attention.heads)
    body = _unbroken(attention.to_circuitsvis(pair).local_src)
    return _PAGE.format(title=escape(f"Attention of {heads}"), body=body)


def _unbroken(html: str) -> str:
    """The same script, where a token such as `</script>` does not end it."""
    start, end, rest = html.rpartition("</script>")
    start = start.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return f"{start}{end}{rest}"
