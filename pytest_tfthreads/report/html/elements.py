"""HTML from elements, which escape what they hold: text from tests and files stays text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    Child = Element | str


def element(tag: str, *children: Child, **attributes: str) -> Element:
    """An element; of attributes `_` becomes `-`, and one at the end is left out (`class_`)."""
    made = ElementTree.Element(
        tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    )
    last: Element | None = None
    for child in children:
        if not isinstance(child, str):
            made.append(child)
            last = child
        elif last is None:
            made.text = (made.text or "") + child
        else:
            last.tail = (last.tail or "") + child
    return made


def markup(*elements: Element) -> str:
    """Their HTML."""
    return "\n".join(
        ElementTree.tostring(one, encoding="unicode", method="html") for one in elements
    )


def bullets(sentences: Iterable[str]) -> Element:
    return element("ul", *(element("li", sentence) for sentence in sentences))


def table(caption: str, headers: Sequence[Child], rows: Iterable[Element], **more: str) -> Element:
    """In a box that scrolls by itself, where the table is wider than the page."""
    head = element("tr", *(_header(header) for header in headers))
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", head),
            element("tbody", *rows),
            **more,
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def folded(boxed: Element, summary: str = "The same as a table") -> Element:
    """A folded table beside figures that show the same, for readers who want the numbers."""
    return element("details", element("summary", summary), boxed, class_="table")


def number_cell(value: str, interval: str = "", **more: str) -> Element:
    """A figure and, below it, its interval."""
    lines: list[Child] = [value]
    if interval:
        lines += [element("br"), element("small", interval)]
    return element("td", *lines, class_="number", **more)


def name_cell(text: str) -> Element:
    """The heading of a row."""
    return element("th", text, scope="row")


def _header(content: Child) -> Element:
    if isinstance(content, str):
        return element("th", content, scope="col")
    content.set("scope", "col")
    return content
