"""One self-contained HTML page: its sections, its figures, and all that it needs to draw them."""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.util
import itertools
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

MISSING_LIBRARY = (
    "figures are drawn by plotly, which is not installed: pip install 'plotly>=6.0' orjson"
)
_HEIGHT_PX = 320
_DIGITS = 6  # of numbers in figures: more are not to be seen, and make the file large


class LibraryMissingError(Exception):
    """plotly is not installed; the message says how to mend it."""


@dataclass(frozen=True)
class Section:
    """A part of a page: `body` is HTML, `anchor` its id in links.

    `kicker` is a line above the heading; sections that follow each other with the same one are
    listed below it in the contents.
    """

    anchor: str
    heading: str
    body: str
    kicker: str = ""


def page(
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    without_figures: str = "The tables say the same.",
) -> str:
    """The whole document; `lead` is HTML that stands below the title.

    `without_figures` says where their content is where JavaScript is off.

    It asks for nothing outside of itself, and its policy forbids it to, as it forbids every script
    but the two that belong to it. Raises `LibraryMissingError`.
    """
    scripts = [_script_text(_plotly_js()), _script_text(_resource("page.js"))]
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        "style-src 'unsafe-inline'; img-src data: blob:; "
        f"script-src {' '.join(map(_fingerprint, scripts))}"
    )
    library, own = (f"<script>{script}</script>" for script in scripts)
    name = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # Else a browser asks the server for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{name}</title>\n<style>{_resource('page.css')}</style>\n{library}\n</head>\n"
        f'<body>\n<a class="skip" href="#content">Skip to the content</a>\n'
        f"<header>\n<h1>{name}</h1>\n{lead}\n"
        "<noscript><p>Figures are drawn by JavaScript, which is off here. "
        f"{html.escape(without_figures)}</p></noscript>\n</header>\n{_contents(sections)}\n"
        f'<main id="content">\n{"".join(map(_section, sections))}</main>\n{own}\n</body>\n</html>\n'
    )


def check_library() -> None:
    """Raises `LibraryMissingError`, before a command takes its time."""
    if importlib.util.find_spec("plotly") is None:
        raise LibraryMissingError(MISSING_LIBRARY)


def layout_over_places(
    height_px: int, places: int, ticks: Mapping[int, str], yaxis: Mapping[str, Any]
) -> dict[str, Any]:
    """Plotly's layout of lines over places that follow each other, such as runs or releases.

    `places`: how many there are. `ticks`: the words below some of them, by their number.
    """
    return {
        "height": height_px,
        "autosize": True,
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
        "margin": {"t": 50, "b": 60, "l": 80, "r": 20},
        "xaxis": {
            "tickmode": "array",
            "tickvals": [*ticks],
            "ticktext": [*ticks.values()],
            "tickangle": 30,
            "automargin": True,
            "range": [-0.5, places - 0.5],
        },
        "yaxis": yaxis,
    }


def figure(
    name: str,
    data: Sequence[Mapping[str, Any]],
    layout: Mapping[str, Any],
    *,
    caption: str = "",
    details: str = "",
    label: str = "",
) -> str:
    """The HTML of a figure that plotly draws; `data` and `layout` are plotly's own JSON.

    `caption` and `details` are text: what the figure is, and how to read it. To a screen reader the
    caption is its name, or `label` where no caption is needed. A colour may be a variable of
    page.css, such as "--series-1": it follows the colour scheme. The width is that of the place
    where the figure stands.
    """
    spec = json.dumps({"data": _plain(data), "layout": _plain(layout)}, separators=(",", ":"))
    # A "</script>" in a text would end the element, a "<!--" begin another state of the parser.
    spec = spec.replace("<", "\\u003c")
    escaped, named = html.escape(name), html.escape(caption or label or name)
    words = f"<strong>{html.escape(caption)}</strong>" if caption else ""
    if details:
        words += f" <span>{html.escape(details)}</span>"
    height = int(layout.get("height", _HEIGHT_PX))
    return (
        f'<figure class="figure">{f"<figcaption>{words}</figcaption>" if words else ""}\n'
        f'<div class="plot" id="{escaped}" role="img" aria-label="{named}" '
        f'style="min-height:{height}px"></div>\n'
        f'<script type="application/json">{spec}</script></figure>\n'
    )


def _section(section: Section) -> str:
    kicker = f'<p class="kicker">{html.escape(section.kicker)}</p>\n' if section.kicker else ""
    anchor = html.escape(section.anchor)
    return (
        f'<section id="{anchor}" aria-labelledby="{anchor}-heading">\n{kicker}'
        f'<h2 id="{anchor}-heading">{html.escape(section.heading)}</h2>\n'
        f"{section.body}\n</section>\n"
    )


def _contents(sections: Sequence[Section]) -> str:
    lists = []
    for kicker, members in itertools.groupby(sections, key=lambda one: one.kicker):
        heading = f"<p>{html.escape(kicker)}</p>" if kicker else ""
        links = "".join(
            f'<li><a href="#{html.escape(member.anchor)}">{html.escape(member.heading)}</a></li>'
            for member in members
        )
        lists.append(f"{heading}<ul>{links}</ul>")
    return (
        '<nav aria-label="Contents"><details><summary>Contents</summary>\n'
        f"{''.join(lists)}</details></nav>"
    )


def _plain(value: Any) -> Any:
    """As JSON can hold it: no infinity, no more digits than are seen."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _script_text(text: str) -> str:
    return text.replace("</script", "<\\/script")


def _fingerprint(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _plotly_js() -> str:
    # plotly 6.0 changes how all warnings of the process look, and which are shown.
    look = warnings.formatwarning
    try:
        with warnings.catch_warnings():
            from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise LibraryMissingError(MISSING_LIBRARY) from error
    finally:
        warnings.formatwarning = look
    return str(get_plotlyjs())
