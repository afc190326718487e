"""What the code keeps to, that no tool of `make lint` looks at."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import attricert

SOURCE = Path(attricert.__file__).parent

OFTEN = {"Options"}  # one for each command


def test_no_class_name_stands_for_two_things():
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py"))
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert len(names) > 100
    assert {name for name, n in names.items() if n > 1 and not name.startswith("_")} <= OFTEN


def test_the_library_does_not_need_the_lab():
    code = "import sys, attricert; print([name for name in sys.modules if name.startswith('attricert.lab')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
