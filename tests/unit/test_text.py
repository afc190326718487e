"""Text that others chose is shown without effect."""

import pytest

from attricert.text import one_line, printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("digit 7, ä 漢 é", "digit 7, ä 漢 é"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\x9bb\x00\x7f", r"a\x9bb\x00\x7f"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("a\u202eb\u2066c\u200bd\u2028e\ufefff", r"a\u202eb\u2066c\u200bd\u2028e\ufefff"),
        ("a\udc80b", r"a\udc80b"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode()


def test_one_line():
    assert one_line("  a\n  b\x1b ") == r"a b\x1b"


def test_long_names_lose_their_middle():
    assert shortened("x" * 60) == "x" * 60
    short = shortened("begin" + "x" * 240 + "end.png")
    assert len(short) == 60
    assert short.startswith("beginx")
    assert short.endswith("xend.png")
