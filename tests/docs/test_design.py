"""docs/design.md shows the house as it is."""

import ast
import re

import pytest

from repository import TOP, program

DOCS = TOP / "docs"
PACKAGE = TOP / "pytest_tfthreads"


def test_a_class_that_is_imported_by_name_shares_its_name_with_no_other():
    of: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
                for one in node.names:
                    if re.match("[A-Z][a-z]", one.name):
                        of.setdefault(one.name, set()).add(node.module)
    assert len(of) > 100
    assert {name: modules for name, modules in of.items() if len(modules) > 1} == {}


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
