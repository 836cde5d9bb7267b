"""docs/reference/messages.md has every error that users can meet."""

import re

from repository import TOP, program

DOCS = TOP / "docs"


def test_all_messages_are_in_the_reference_as_the_code_has_them():
    text = (DOCS / "reference" / "messages.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^## (.+?)\n.+?\n\n(.*?)\n$", text + "\n", re.M | re.S))
    messages = program(DOCS / "messages.py")
    made = {kind: messages.page_list(texts) for kind, texts in messages.messages().items()}
    assert shown == made, "python docs/messages.py prints them"
    assert all(made.values())


def test_every_class_of_errors_for_users_raises_messages():
    """A class that was renamed would leave its messages out of the page, and nobody would know."""
    names = {
        name
        for path in (TOP / "pytest_tfthreads").rglob("*.py")
        for name in re.findall(r"\b\w+Error\b", path.read_text(encoding="utf-8"))
    }
    kinds = program(DOCS / "messages.py").KINDS
    assert {name for classes in kinds.values() for name in classes} <= names
