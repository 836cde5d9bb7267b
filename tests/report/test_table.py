"""Rows as a table of text: long names are cut, and stay different."""

from pytest_tfthreads.report.table import aligned, table

LONG = "x" * 150


def test_columns_are_as_wide_as_their_widest_cells():
    assert table(("Test", "Speed"), [("one", "1"), ("three", "1,000")], [1]) == [
        "Test   Speed",
        "------------",
        "one        1",
        "three  1,000",
    ]


def test_the_end_of_a_name_longer_than_a_hundred_characters_is_kept():
    (cut, whole) = aligned([(f"{LONG}[intra1-inter1]", "1"), ("y" * 100, "2")])
    assert cut == "…" + "x" * 84 + "[intra1-inter1]  1"
    assert whole == "y" * 100 + "  2"


def test_names_that_would_become_the_same_are_not_cut():
    names = [f"a{LONG}", f"b{LONG}"]
    assert aligned([(name, "1") for name in names]) == [f"{name}  1" for name in names]
    # One that is there twice is the same name before, too.
    assert len(aligned([(names[0], "1"), (names[0], "2")])[0]) == 100 + len("  1")


def test_a_name_is_cut_to_the_width_of_a_line():
    assert aligned([(LONG, "1"), ("b", "2")], width=20) == [
        "…" + "x" * 16 + "  1",
        f"b{' ' * 16}  2",
    ]
    assert aligned([(LONG, "1" * 20)], width=20) == ["…" + "x" * 11 + "  " + "1" * 20]


def test_what_cannot_be_printed_is_escaped_before_it_is_measured():
    (line,) = aligned([("a\x1bb\nc", "1")])
    assert line.isprintable()
    assert line.endswith("  1")
