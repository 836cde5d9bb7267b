"""One self-contained HTML page: its sections, its figures, and all that it needs to draw them."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MISSING_LIBRARY = (
    "figures are drawn by plotly, which is not installed: pip install 'pytest-tfthreads[report]'"
)


class LibraryMissingError(Exception):
    """plotly is not installed; the message says how to mend it."""


@dataclass(frozen=True)
class Section:
    """A part of a page: `body` is HTML, `anchor` its id in links."""

    anchor: str
    heading: str
    body: str


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole document. Raises `LibraryMissingError`."""
    body = "\n".join(
        f'<section id="{html.escape(one.anchor)}">\n<h2>{html.escape(one.heading)}</h2>\n'
        f"{one.body}\n</section>"
        for one in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<script>{_plotly_js()}</script>\n</head>\n"
        f"<body>\n<h1>{html.escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def figure(name: str, data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> str:
    """The HTML of a figure that plotly draws; `data` and `layout` are plotly's own JSON."""
    # A "</script>" in a text would end the script.
    spec = json.dumps({"data": data, "layout": layout}).replace("<", "\\u003c")
    escaped = html.escape(name)
    return (
        f'<div class="figure" id="{escaped}"></div>\n'
        f"<script>Plotly.newPlot({json.dumps(name)}, {spec});</script>"
    )


def _plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise LibraryMissingError(MISSING_LIBRARY) from error
    return str(get_plotlyjs())
