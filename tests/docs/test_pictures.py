"""Pictures of the documentation can be made again: docs/pictures.py makes each of them."""

import re

import pytest

from repository import TOP, program

DOCS = TOP / "docs"
PICTURES = program(DOCS / "pictures.py")


def test_every_picture_that_is_shown_is_made_by_the_script_and_there():
    shown = set()
    for page in (TOP / "README.md", *DOCS.rglob("*.md")):
        for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / path).resolve().parent == PICTURES.STATIC, f"{page}: {path}"
            shown.add(path.rpartition("/")[2])
    assert shown
    assert shown <= {path.name for path in PICTURES.STATIC.iterdir()}
    assert {name.partition(".")[0] for name in shown} <= PICTURES.PICTURES.keys()


def test_a_terminal_picture_has_the_summary_and_the_last_line_in_colour(tmp_path, monkeypatch):
    pytest.importorskip("rich", reason="rich is not installed")
    monkeypatch.setattr(PICTURES, "STATIC", tmp_path)
    printed = (
        "before\n\x1b[33m------ tf_threads ------\x1b[0m\nTest  <Verdict>\n"
        "\x1b[33m------ benchmark: 1 tests ------\x1b[0m\nlegend\n\x1b[32m=== 1 passed ===\x1b[0m\n"
    )
    PICTURES._terminal("it.svg", "pytest test_it.py", printed)
    picture = (tmp_path / "it.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    for words in ("$ pytest test_it.py", "Test  &lt;Verdict&gt;", "=== 1 passed ==="):
        assert words in picture
    assert "before" not in picture
    assert "legend" not in picture
    with pytest.raises(SystemExit, match="no summary"):
        PICTURES._terminal("it.svg", "pytest test_it.py", "nothing of it\n")
