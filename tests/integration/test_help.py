"""What help says, and what is said of words that mean nothing; both without torch."""

import contextlib
import dataclasses
import io
import json
import shlex
import subprocess
import sys
from typing import ClassVar

import pytest

from attricert import runs
from attricert.cli import commands
from attricert.cli.arguments import add_options
from attricert.cli.main import main
from attricert.cli.parsing import COMMANDS, declared, parsers
from attricert.cli.words import understood
from attricert.errors import AttricertError
from attricert.registry import choice

EXAMPLES = [line for name in COMMANDS for line in declared(name).EXAMPLES]

ASKED = [
    "--help",
    "--version",
    *(f"{name} --help" for name in COMMANDS),
    "certfy",
    "certify --sgima 0.1",
    "certify",
    "certify --data mnist:test",
    "certify --sigma abc",
    "plan --model x",
    "status",
    "",
]

# Runs commands where nobody can import torch, and says how each ended.
APART = """
import contextlib, io, json, sys
class Nobody:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise AssertionError("torch is imported")
sys.meta_path.insert(0, Nobody())
from attricert.__main__ import main
ends = []
for line in json.load(sys.stdin):
    sys.argv = ["attricert", *line.split()]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = main()
        except SystemExit as end:
            code = end.code
    ends.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(ends))
"""


@pytest.fixture(scope="module")
def ends():
    lines = [*ASKED, "models"]
    told = subprocess.run(
        [sys.executable, "-c", APART], input=json.dumps(lines), capture_output=True, text=True, check=True
    )
    return dict(zip(lines, json.loads(told.stdout), strict=True))


@pytest.mark.parametrize("line", ASKED)
def test_help_and_complaints_need_no_torch(ends, line):
    code, out, err = ends[line]
    assert "Traceback" not in err
    if "--help" in line or line == "--version":
        assert (code, err) == (0, "")
        assert out.startswith(("usage: attricert", "attricert "))
    else:
        assert (code, out) == (2, "")
        assert err.startswith("attricert: error: ")
        assert len(err.splitlines()) == 1


def test_a_command_that_needs_torch_cannot_do_without(ends):
    """So that the test above can fail."""
    assert ends["models"][0] == 3
    assert "torch is imported" in ends["models"][2]


def refused(line):
    with pytest.raises(AttricertError) as error:
        understood(shlex.split(line), *parsers())
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("certfy", "certfy: no such command; did you mean certify?"),
        ("xyz", "xyz: no such command; it is one of demo, certify,"),
        ("", "which command? One of demo,"),
        ("certify --sgima 0.1", "--sgima: no such flag; did you mean --sigma?"),
        ("certify --sgima=0.1", "--sgima: no such flag; did you mean --sigma?"),
        ("certify --n-smaples 5", "--n-smaples: no such flag; did you mean --n_samples?"),
        ("certify --no-preflihgt", "--no-preflihgt: no such flag; did you mean --no_preflight?"),
        ("certify --xyz", "--xyz: no such flag"),
        # flags are not shortened, whether one or several begin so
        ("certify --sig 0.1", "--sig: no such flag; did you mean --sigma?"),
        ("certify --stop 0.1", "--stop: no such flag; did you mean --stop_eps or --stop_cosine?"),
        # those of another command
        ("status run --sigma 0.1", "it is a flag of certify, plan, doctor, not of status"),
        ("certify --n-pilot 5", "--n-pilot: no such flag; it is a flag of attricert plan, not of certify"),
        ("status run --cosine 0.5", "it is a flag of certify, certificates, report, attack, plan, not of status"),
        ("--sigma 0.1 certify", "it is a flag of certify, plan, doctor, and stands after the command"),
        ("--versoin", "--versoin: no such flag; did you mean --version?"),
        # what old config files may say is no advice
        ("certify --skip_labl", "--skip_labl: no such flag"),
    ],
)
def test_words_that_mean_nothing_are_answered_with_what_may_be_meant(line, message):
    said = refused(line)
    assert said.startswith(message) or said.endswith(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("certificates run --eps abc", "--eps: 'abc' is no number"),
        ("certificates run --eps 0.1,abc", "--eps: 'abc' is no number"),
        ("certificates run --top_k 1.5", "--top_k: '1.5' is no whole number"),
        ("plan --model x", "the following arguments are required: --data"),
        ("certify --sigma abc", "--sigma: 'abc' is no number"),
        ("certify --batch_size None,", "--batch_size: 'None,' is no whole number"),
        ("doctor --total_inputs 1e6", "--total_inputs: '1e6' is no whole number"),
        ("doctor --rate ''", "--rate: '' is no number"),
        ("doctor --efficiency ''", "--efficiency: '' is no number"),
        ("doctor --channels_last maybe", "--channels_last: 'maybe' is neither true nor false"),
        ("status", "the following arguments are required: RUN"),
        ("attack", "the following arguments are required: --run"),
    ],
)
def test_values_that_will_not_do_get_one_line(capsys, line, message):
    with pytest.raises(SystemExit) as end:
        main(shlex.split(line))
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epss: [0.1]", "--config: epss: attricert certificates has no such setting; did you mean eps?"),
        ("eps: 0.1", "lists in a --config file are written as [0.1, 0.2]"),
        ("eps: 0.1, 0.2", "lists in a --config file are written as [0.1, 0.2]"),
        ("eps: [0.1, x]", "--eps: 'x' is no number"),
    ],
)
def test_config_files_get_one_line_too(capsys, tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["certificates", "run", "--config", str(tmp_path / "c.yaml")])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_every_flag_of_numbers_or_truth_says_so_in_plain_words(capsys):
    """Whatever is typed: jsonargparse has a text of its own for each kind of flag and of value."""
    rules = {int: "is no whole number", float: "is no number", bool: "is neither true nor false"}
    tried = set()
    for command, parser in parsers()[1].items():
        for action in parser._actions:
            hint = getattr(action, "_typehint", None)
            kind = next((kind for kind in rules if hint in (kind, kind | None)), None)
            if kind is None or not action.option_strings:
                continue
            tried.add(hint)
            for value in ("maybe", "", "[1]", "a: b", *(("1.5", "1e6") if kind is int else ())):
                with pytest.raises(SystemExit):
                    parser.parse_args([f"{action.option_strings[0]}={value}"])
                said = capsys.readouterr().err.strip()
                assert said.startswith(f"attricert: error: {action.option_strings[0]}: "), (command, said)
                assert said.endswith(rules[kind]), (command, said)
                assert "Expected" not in said
    assert {hint for kind in rules for hint in (kind, kind | None)} == tried


def parsed(line):
    whole, within = parsers()
    found = whole.parse_args(understood(shlex.split(line), whole, within))
    return vars(found[found.command])


@pytest.mark.parametrize("given", ["0.1 0.2", "0.1,0.2", "'0.1, 0.2'", "'[0.1, 0.2]'", "0.1, 0.2", "'0.1 0.2'"])
def test_lists_are_given_in_any_way(given):
    assert parsed(f"certificates r --eps {given} --cosine 0.9")["eps"] == [0.1, 0.2]
    assert parsed(f"plan --scales {given} --model m --data d --eps 1 --cosine 0.9")["scales"] == [0.1, 0.2]
    assert parsed(f"attack --run r --data_range {given}")["data_range"] == [0.1, 0.2]


@pytest.mark.parametrize("given", ["=0.1,0.2", "='[0.1, 0.2]'", "=[0.1,0.2]", "=0.1 0.2"])
def test_lists_are_given_after_an_equals_sign_too(given):
    assert parsed(f"certificates r --eps{given} --json") == parsed("certificates r --eps 0.1 0.2 --json")


def test_lists_of_words_and_numbers_below_zero():
    assert parsed("certify --prove cone,entries")["prove"] == ["cone", "entries"]
    assert parsed("certify --prove \"['cone', 'entries']\"")["prove"] == ["cone", "entries"]
    assert parsed("attack --run r --data_range=-1,1")["data_range"] == [-1.0, 1.0]
    assert parsed("attack --run r --data_range -1 1")["data_range"] == [-1.0, 1.0]
    assert parsed("reproduce table4 --models a,b")["models"] == ["a", "b"]


def test_what_is_no_list_is_left_as_it_is():
    assert parsed("merge run --sources 'a, b' [c]")["sources"] == ["a, b", "[c]"]
    assert parsed("certify --out 'runs/a,b' --data 'mnist:test[0:5]'")["out"] == "runs/a,b"
    assert parsed("certify --data '[a,b]'")["data"] == "[a,b]"


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_are_commands(line):
    program, command, *_ = shlex.split(line)
    assert program == "attricert"
    assert parsed(line.removeprefix("attricert ")) is not None
    assert line in declared(command).EXAMPLES


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples_of_itself(name):
    assert declared(name).EXAMPLES
    assert all(line.split()[:2] == ["attricert", name] for line in declared(name).EXAMPLES)


def helped(monkeypatch, line, width):
    monkeypatch.setenv("COLUMNS", str(width))
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 0
    return out.getvalue()


@pytest.mark.parametrize("width", [50, 80])
@pytest.mark.parametrize("line", ["--help", *(f"{name} --help" for name in COMMANDS)])
def test_help_fits_and_its_examples_can_be_copied(monkeypatch, line, width):
    text = helped(monkeypatch, line, width)
    _, _, body = text.partition("\n\n")
    assert [row for row in body.splitlines() if len(row) > width] == []
    examples = text.partition("examples:\n")[2].replace("\\\n", " ")
    name = line.partition(" ")[0]
    wanted = declared(name).EXAMPLES if name in COMMANDS else ["attricert demo", "attricert certify --help"]
    assert [shlex.split(row) for row in examples.strip().splitlines()] == [shlex.split(row) for row in wanted]


def test_help_is_grouped(monkeypatch):
    text = helped(monkeypatch, "certify --help", 80)
    titles = ["what to certify", "noise and bound", "how much and how sure", "what is proven"]
    titles += ["where the work is done", "what to report", "examples"]
    places = [text.index(f"\n{title}:\n") for title in titles]
    assert places == sorted(places)
    section = text[text.index("\nnoise and bound:") : text.index("\nhow much and how sure:")]
    assert all(f"--{name}" in section for name in ("noise", "sigma", "radius", "bound", "max_norm"))
    assert "--moments" not in text


OPTIONS = [runs.Config, *(declared(name).Options for name in COMMANDS if hasattr(declared(name), "Options"))]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda kind: kind.__module__)
def test_groups_name_fields_once(options):
    named = [name for names in getattr(options, "groups", {}).values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) <= {field.name for field in dataclasses.fields(options)}


def test_a_field_without_a_group_is_shown_all_the_same():
    @dataclasses.dataclass
    class Some:
        """Some.

        Args:
            first: of one group.
            other: of none.
            noise: chosen.
        """

        first: int = 1
        other: int = 2
        noise: str = choice(runs.Config.__dataclass_fields__["noise"].metadata["registry"], "gaussian")

        groups: ClassVar = {"one group": ("first",)}

    parser = parsers()[1]["status"]
    add_options(parser, Some)
    groups = {group.title: [action.dest for action in group._group_actions] for group in parser._action_groups}
    assert groups["one group"] == ["first"]
    assert groups["more"] == ["other", "noise", "sigma", "radius"]


def test_all_commands_are_declared():
    import pkgutil

    assert sorted(COMMANDS) == sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_scripts_name_commands_and_flags(capsys, shell):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as end:
        main(["--print_completion", f"shtab-{shell}"])
    assert end.value.code == 0
    script = capsys.readouterr().out
    assert all(word in script for word in (*COMMANDS, "--n_samples", "--max_norm"))
    assert "--moments" not in script


def test_completion_says_what_it_needs(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    assert main(["--print-completion", "shtab-bash"]) == 2
    assert "is not installed; pip install 'attricert[completion]'" in capsys.readouterr().err
