"""docs/design.md shows the house as it is."""

import re

import pytest

from repository import TOP, program

DOCS = TOP / "docs"
PACKAGE = TOP / "pytest_tfthreads"


def test_all_rooms_are_shown_as_they_are():
    text = (DOCS / "design.md").read_text(encoding="utf-8")
    shown = re.search(r"## Rooms\n```\n(.*?)\n```", text, re.DOTALL)
    assert shown is not None
    assert shown[1] == program(DOCS / "rooms.py").rooms(), "python docs/rooms.py prints them"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_modules_that_pages_name_are_there(page):
    rooms = "|".join(path.name for path in PACKAGE.iterdir() if path.is_dir())
    named = re.findall(rf"`((?:{rooms})/[\w/]+)(?:\.\w+)*`", page.read_text(encoding="utf-8"))
    absent = [
        name
        for name in named
        if not (PACKAGE / name).is_dir() and not (PACKAGE / f"{name}.py").exists()
    ]
    assert absent == []
