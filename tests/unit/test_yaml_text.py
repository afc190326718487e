"""YAML of unknown origin: plain mappings are read, what costs time or memory or has two meanings is refused at once."""

import pytest

import attricert as ac
from attricert import yaml_text

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{one}: &{one} [{','.join(['*' + before] * 9)}]\n" for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_what_is_written_is_read():
    text = "n: 5\nx: 1.0e-06\nname: a b\nmany: [0.02, .inf]\nnothing: null\nflag: true\nnested: {a: {b: 1}}\n"
    assert yaml_text.parse(text, "here") == {
        "n": 5,
        "x": 1e-6,
        "name": "a b",
        "many": [0.02, float("inf")],
        "nothing": None,
        "flag": True,
        "nested": {"a": {"b": 1}},
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "aliases are not read"),
        ("a: &a {b: *a}", "aliases are not read"),
        ("a: " + "[" * 500 + "]" * 500, "nested deeper than 20"),
        ("n: " + "9" * 5000, "a number of 5000 characters"),
        ("n: " + "1:" * 50_000 + "1", "a number of 100001 characters"),
        ("n: 0x" + "f" * 50_000, "a number of 50002 characters"),
        ("n: !!int x", "invalid literal"),
        ("n: !!int ''", "n: !!int ''"),
        ("a: 1\na: 2\n", "'a' is there twice"),
        ("a: " + "x" * 300_000, "longer than 262144 bytes"),
        ("a: !!python/object/apply:os.system ['touch marker']", "could not determine a constructor"),
        ("a: [", "while parsing"),
        ("a: \x1b[31m", "special characters are not allowed"),
        ("- a\n- b\n", "not a mapping of settings"),
        ("1: a\n", "not a mapping of settings"),
        ("", "not a mapping of settings"),
        (b"a: \xff\xfe", "invalid"),
    ],
)
def test_what_breaks_a_limit_is_one_line(text, reason):
    with pytest.raises(ac.IntegrityError) as caught:
        yaml_text.parse(text, "some.yaml")
    message = str(caught.value)
    assert message.startswith("some.yaml: ")
    assert message.isprintable()
    assert len(message) < 500
    assert reason in message or reason == text


def test_only_regular_files_are_read(tmp_path):
    (tmp_path / "target.yaml").write_text("a: 1\n")
    assert yaml_text.read(tmp_path / "target.yaml") == {"a": 1}
    (tmp_path / "link.yaml").symlink_to("target.yaml")
    with pytest.raises(ac.IntegrityError, match="is a link, which is not followed"):
        yaml_text.read(tmp_path / "link.yaml")
    with pytest.raises(ac.IntegrityError, match="cannot be read"):
        yaml_text.read(tmp_path / "none.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (yaml_text.LARGEST + 1))
    with pytest.raises(ac.IntegrityError, match="more than the 262144 that are read"):
        yaml_text.read(tmp_path / "large.yaml")
