"""A user's own code: what it is made of is found without running it, and that is what runs."""

import sys
from pathlib import Path

import pytest

import attricert as ac
from attricert.files import sha256
from attricert.runs.code import code_digest, factory, sources

MINE = """
from __future__ import annotations
import dataclasses
import json, helper, package.deep as deep
from package import inner
@dataclasses.dataclass
class Pair:
    one: int
def make():
    import lazy
    return helper.VALUE, deep.VALUE, inner.VALUE, lazy.VALUE, Pair(1).one
"""


def write(folder, value):
    (folder / "package").mkdir(parents=True)
    (folder / "data").mkdir()
    files = {
        "mine.py": MINE,
        "helper.py": f"VALUE = {value}\n",
        "lazy.py": "import helper\nVALUE = 10 * helper.VALUE\n",
        "package/__init__.py": "",
        "package/inner.py": "from .. import helper\nVALUE = -helper.VALUE\n",
        "package/deep.py": "from . import inner\nfrom .inner import VALUE\n",
        "unused.py": "raise ValueError\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return f"{folder}/mine.py:make"


def test_it_is_all_that_is_imported_from_beside_it(tmp_path):
    name = write(tmp_path, 1)
    found = [str(Path(path).relative_to(tmp_path)) for path in sources(name)]
    assert found[0] == "mine.py"
    inside = ["package/__init__.py", "package/deep.py", "package/inner.py"]
    assert sorted(found) == ["helper.py", "lazy.py", "mine.py", *inside]
    before = code_digest(name)
    for path in map(Path, sources(name)):
        text = path.read_text()
        path.write_text(f"{text}# changed\n")
        assert code_digest(name) != before
        path.write_text(text)
    (tmp_path / "unused.py").write_text("")
    assert code_digest(name) == before


def test_the_digest_of_a_file_that_stands_alone_is_that_of_the_file(tmp_path):
    (tmp_path / "mine.py").write_text("import json, torch.nn\ndef make():\n    return 1\n")
    assert code_digest(f"{tmp_path}/mine.py:make") == sha256((tmp_path / "mine.py").read_bytes())
    assert code_digest("mnist-standard") == sha256(b"")


def test_two_folders_do_not_get_each_others_helpers(tmp_path):
    path = list(sys.path)
    one, two = (factory("model", write(tmp_path / str(value), value)) for value in (1, 2))
    assert one() == (1, -1, -1, 10, 1)
    assert two() == (2, -2, -2, 20, 1)
    assert "helper" not in sys.modules
    assert sys.path == path


def test_the_files_that_were_read_are_the_files_that_run(tmp_path):
    make = factory("model", write(tmp_path, 1))
    (tmp_path / "lazy.py").write_text("VALUE = 666\n")
    assert make()[3] == 10


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nimportlib.import_module('.helper', __package__)\n",
        "import importlib, sys\nsys.path.insert(0, {folder!r})\nimportlib.import_module('helper')\n",
    ],
)
def test_what_only_running_shows_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "mine.py").write_text(text.format(folder=str(tmp_path)) + "def make(): pass\n")
    with pytest.raises(ac.ArgumentError, match=r"model=.*helper.* import it plainly"):
        factory("model", f"{tmp_path}/mine.py:make")
    sys.modules.pop("helper", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make(:", "mine.py is no Python"),
        ("x = '\0'", "mine.py is no Python"),
        ("(" * 5000, "mine.py is no Python"),
        ("import helper", "helper.py is no Python"),
        ("raise KeyError(3)", "mine.py raised KeyError: 3"),
        ("raise SystemExit", "mine.py called sys.exit"),
        ("import nowhere_at_all", "mine.py raised ModuleNotFoundError"),
        ("other = 1", "mine.py has no function 'make'"),
        (None, "there is no file .*mine.py"),
    ],
)
def test_trouble_is_one_error_that_names_the_file(tmp_path, text, message):
    (tmp_path / "helper.py").write_text("def")
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ac.ArgumentError, match=f"model=.*{message}"):
        factory("model", f"{tmp_path}/mine.py:make")


def test_a_factory_that_raises_and_code_that_is_a_link(tmp_path):
    (tmp_path / "mine.py").write_text("def make():\n    return 1 / 0\n")
    with pytest.raises(ac.ArgumentError, match="mine.py raised ZeroDivisionError"):
        factory("model", f"{tmp_path}/mine.py:make")()
    (tmp_path / "link.py").symlink_to(tmp_path / "mine.py")
    with pytest.raises(ac.ArgumentError, match="is a link, which is not followed"):
        code_digest(f"{tmp_path}/link.py:make")


def test_a_factory_may_not_import_by_name_either(tmp_path, monkeypatch):
    """What is imported as the factory is called would be in no fingerprint."""
    (tmp_path / "hidden_helper.py").write_text("")
    (tmp_path / "mine.py").write_text(
        "def make():\n    import importlib, sys\n    importlib.import_module('hidden_helper')\n    return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    make = factory("model", f"{tmp_path / 'mine.py'}:make")
    with pytest.raises(ac.ArgumentError, match="hidden_helper.py is imported in a way that only running shows"):
        make()
