"""The reference says what the code has: no more, no less, with the same defaults."""

import argparse
import ast
import inspect
import json
import re
from pathlib import Path

import pytest
from _pytest.config import get_config

from pytest_tfthreads import cli, hookspecs, plugin
from pytest_tfthreads.core.gate.verdict import STATUSES
from pytest_tfthreads.core.threads import ConfigError, parse_marker
from pytest_tfthreads.engine import reply
from pytest_tfthreads.hooks.fixtures import TfBenchmark, ThreadsInForce
from pytest_tfthreads.pytest_bridge.options import MARKER_HELP
from pytest_tfthreads.report.console import FLAGS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PACKAGE = ROOT / "pytest_tfthreads"
ABOUT_TESTS = "what was compared is nothing: the page or the code has another form now"


def rows(page, heading=None):
    """The cells of a page's tables below a heading, without the lines of column heads."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    if heading is not None:
        _, _, text = text.partition(f"\n## {heading}\n")
        assert text, f"{page} has no heading {heading!r}"
        text = text.partition("\n## ")[0]
    found, is_body = [], False
    for line in text.splitlines():
        if not line.startswith("|"):
            is_body = False
        elif line.startswith("| --- "):
            is_body = True
        elif is_body:
            found.append([cell.strip().replace("\\|", "|") for cell in cells_of(line)])
    assert found, ABOUT_TESTS
    return found


def cells_of(line):
    return re.split(r"(?<!\\)\|", line.strip().strip("|"))


def words_in_code(cell):
    return re.findall(r"`([^`]+)`", cell)


@pytest.fixture(scope="module")
def options():
    """All options of the plugin, as pytest knows them, without those of other plugins.

    One that has no help is between the plugin's own processes, and no promise.
    """
    config = get_config()
    config.pluginmanager.import_plugin("pytest_tfthreads.plugin")
    (group,) = (one for one in config._parser._groups if one.name == "tfthreads")
    known = {option.names()[0]: option.attrs() for option in group.options}
    return config, {
        name: attrs for name, attrs in known.items() if attrs["help"] != argparse.SUPPRESS
    }


def test_every_option_and_its_ini_key_are_in_the_reference_with_their_form(options):
    config, known = options
    documented = {}
    for spelling, key, _, _ in rows("options.md")[: len(known) + 1]:
        (spelling,), (key,) = words_in_code(spelling), words_in_code(key)
        option = re.match(r"--[a-z-]+", spelling)[0]
        documented[option] = spelling.removeprefix(option)
        assert key == option.removeprefix("--").replace("-", "_")
        assert key in config._parser._inidict, f"{key} is no ini key"
    forms = {}
    for option, attrs in known.items():
        if attrs.get("metavar") is None:
            forms[option] = ""
        elif attrs.get("nargs") == "?":
            forms[option] = f"[={attrs['metavar']}]"
        else:
            forms[option] = f"={attrs['metavar']}"
    assert documented == forms


def test_no_ini_key_of_the_plugin_is_missing_in_the_reference(options):
    config, known = options
    ours = {key for key in config._parser._inidict if key.startswith("tf_threads")}
    assert ours == {option.removeprefix("--").replace("-", "_") for option in known}


def test_defaults_are_those_of_the_help(options):
    _, known = options
    documented = {
        re.match(r"--[a-z-]+", words_in_code(spelling)[0])[0]: default
        for spelling, _, _, default in rows("options.md")
    }
    compared = 0
    for option, attrs in known.items():
        stated = re.findall(r"\(default: ([\w%]+)\)", attrs["help"].replace("%%", "%"))
        if stated:
            assert documented[option] == stated[0], option
            compared += 1
    assert compared, ABOUT_TESTS


def test_every_argument_of_the_marker_is_in_the_reference():
    with pytest.raises(ConfigError, match="known are") as raised:
        parse_marker((), {"no_such_argument": 1})
    known = str(raised.value).partition("known are ")[2].split(", ")
    assert [words_in_code(row[0])[0] for row in rows("marker.md")[: len(known)]] == known


def test_the_marker_is_written_as_pytest_shows_it():
    signature = MARKER_HELP.partition(": ")[0]
    assert f"`@pytest.mark.{signature}`" in (REFERENCE / "marker.md").read_text(encoding="utf-8")


def without_types(function, name):
    parameters = []
    stars = False
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not stars:
            parameters.append("*")
        stars = stars or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = parameter.default
        shown = "" if default is parameter.empty else f"={default!r}".replace("'", '"')
        parameters.append(f"{star}{parameter.name}{shown}")
    return f"{name}({', '.join(parameters)})"


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (TfBenchmark.__call__, "tf_benchmark"),
        (TfBenchmark.pedantic, "tf_benchmark.pedantic"),
        (TfBenchmark.dataset, "tf_benchmark.dataset"),
    ],
)
def test_fixtures_are_called_as_the_reference_shows(function, name):
    text = (REFERENCE / "fixtures.md").read_text(encoding="utf-8")
    assert f"### `{without_types(function, name)}`\n" in text


def test_every_public_member_of_the_fixtures_is_in_the_reference():
    text = (REFERENCE / "fixtures.md").read_text(encoding="utf-8")
    members = [name for name in vars(TfBenchmark) if not name.startswith("_")]
    assert all(f"### `tf_benchmark.{name}" in text for name in members)
    documented = [words_in_code(row[0])[0] for row in rows("fixtures.md", "tf_threads")]
    assert documented == list(ThreadsInForce.__dataclass_fields__)


def test_every_fixture_is_in_the_reference():
    text = (REFERENCE / "fixtures.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^## (\w+)$", text, re.M))
    ours = {name for name in vars(plugin) if name.startswith("tf_")}
    assert ours, ABOUT_TESTS
    assert documented == ours | {"benchmark"}


def test_every_hook_is_in_the_reference_as_it_is_called():
    text = (REFERENCE / "hooks.md").read_text(encoding="utf-8")
    hooks = {
        f"{name}({', '.join(inspect.signature(hook).parameters)})"
        for name, hook in vars(hookspecs).items()
        if name.startswith("pytest_")
    }
    assert hooks, ABOUT_TESTS
    assert set(re.findall(r"^## `(.+)`$", text, re.M)) == hooks


def commands():
    (actions,) = cli._parser()._subparsers._group_actions
    return actions.choices


def test_every_command_has_a_section():
    text = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.M) == list(commands())


@pytest.mark.parametrize("name", commands())
def test_every_option_of_a_command_is_in_the_reference_with_its_default(name):
    known = {}
    for action in commands()[name]._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if not action.option_strings:
            spelling = action.metavar + (" ..." if action.nargs in ("*", "+") else "")
        else:
            value = "" if action.nargs == 0 else f" {action.metavar}"
            spelling = ", ".join(f"{one}{value}" for one in action.option_strings)
        if action.nargs == 0:
            default = "off"
        else:
            stated = re.search(r"(?:default: |by default )([\w.]+)", action.help or "")
            stated = stated or re.search(r"(5)%% \(the default\)", action.help or "")
            default = stated[1] if stated else None
        known[spelling] = default
    documented = {words_in_code(row[0])[0]: row[2] for row in rows("commands.md", name)}
    assert documented.keys() == known.keys()
    for spelling, default in known.items():
        if default is not None:
            assert documented[spelling].startswith(default), spelling


LATER_CODE = 6  # of pytest 9.1 and later


def test_exit_codes_of_pytest_and_of_the_command_are_in_the_reference():
    of_pytest = {int(row[0]) for row in rows("exit-codes.md", "pytest")}
    assert of_pytest | {LATER_CODE} == {int(code) for code in pytest.ExitCode} | {LATER_CODE}
    ours = {0, 1, cli.USAGE_ERROR, cli.INTERRUPTED, cli.CLOSED_PIPE}
    assert {int(row[0]) for row in rows("exit-codes.md", "pytest-tfthreads")} == ours


def test_every_verdict_is_in_the_reference():
    assert sorted(words_in_code(row[0])[0] for row in rows("verdicts.md")) == sorted(STATUSES)


def test_every_flag_is_in_the_reference():
    assert sorted(words_in_code(row[0])[0] for row in rows("flags.md")) == sorted(FLAGS)


def trees():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def test_every_kind_of_failure_is_in_the_reference():
    kinds = set()
    for tree in trees():
        for node in ast.walk(tree):
            # Failure("crashed", …), and what a function returns to one: "crashed", text
            first = None
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Failure":
                first = node.args[0] if node.args else None
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
                first = next(iter(node.value.elts), None)
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                kinds.add(first.value)
    # Those by which a process says itself why it did not run its test.
    kinds |= {reply.NOT_COLLECTED, reply.MISCONFIGURED, reply.INTERNAL_ERROR}
    kinds |= {reply.DESCRIPTORS_CLOSED, reply.CONFIGURE_FAILED, reply.TOO_LARGE}
    kinds = {kind for kind in kinds if re.fullmatch(r"[a-z]+(-[a-z]+)*", kind)}
    documented = {words_in_code(row[0])[0] for row in rows("failures.md")}
    assert "crashed" in kinds, ABOUT_TESTS
    assert documented == kinds


# Variables of git, coverage, ssh and sessions, which are kept from processes or told apart by.
INTERNAL = re.compile(
    r"GIT_\w+|COV_CORE_\w+|COVERAGE_\w+|SSH_\w+|XDG_SESSION_ID|LC_ALL|PYTEST_PLUGINS|\w+_AUTOLOAD"
)


OF_SYSCONF = {"SC_CLK_TCK"}
"""Names that look like environment variables, and are asked of the system."""


def test_every_environment_variable_is_in_the_reference():
    used = set()
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                used |= set(re.findall(r"^[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+$", node.value))
            # Short names are words too, unless they are looked up.
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.get":
                used |= {one.value for one in node.args[:1] if isinstance(one, ast.Constant)}
    used = {name for name in used if not INTERNAL.fullmatch(name)} - OF_SYSCONF
    text = (REFERENCE / "environment.md").read_text(encoding="utf-8")
    documented = {
        word for word in words_in_code(text) if re.fullmatch(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)*", word)
    }
    documented -= {"UID", "PYTHONHASHSEED"}
    assert "PYTEST_TFTHREADS_LEASES" in used, ABOUT_TESTS
    assert used - {"PYTHONPATH"} == documented - {"PYTHONPATH"}


def test_the_page_of_saved_files_names_every_field_of_the_schema():
    schema = json.loads((REFERENCE / "saved-run.schema.json").read_text(encoding="utf-8"))
    page = (REFERENCE / "saved-files.md").read_text(encoding="utf-8")
    fields = [
        *schema["$defs"]["measurement"]["properties"],
        *schema["$defs"]["process"]["properties"],
        *schema["$defs"]["machine"]["properties"],
        *schema["$defs"]["run"]["properties"],
    ]
    assert [field for field in fields if not re.search(rf"\b{field}\b", page)] == []


def test_an_ini_key_is_explained_where_its_option_is(options):
    config, known = options
    for option, attrs in known.items():
        explained = config._parser._inidict[option.removeprefix("--").replace("-", "_")][0]
        assert explained == attrs["help"].replace("%%", "%")


PRINTED = {
    "doctor": [
        ("doctor/report.py", "to_json"),
        ("doctor/report.py", "_limits"),
        ("doctor/report.py", "_speeds"),
        ("doctor/checks.py", "Finding"),
        ("doctor/cpu_speed.py", "CpuSpeed"),
        ("doctor/cpu_speed.py", "TwoSpeeds"),
    ],
    "list": [("commands/listing.py", "_json"), ("commands/listing.py", "_COLUMNS")],
    "history": [
        ("commands/history.py", "_json"),
        ("commands/history.py", "_json_of_change"),
        ("commands/history.py", "_shift"),
        ("commands/history.py", "_COLUMNS"),
    ],
    "compare": [
        ("core/gate/verdict.py", "Verdict"),
        ("core/gate/verdict.py", "Change"),
        ("commands/compare.py", "_COLUMNS"),
    ],
    "recommend": [("core/sweep/deployment.py", "to_json"), ("report/deployment.py", "render")],
    "releases": [
        ("report/releases.py", "to_json"),
        ("report/releases.py", "_json_of_release"),
        ("report/releases.py", "_json_of_place"),
        ("report/releases.py", "_json_of_step"),
        ("report/releases.py", "_json_of_change"),
        ("report/releases.py", "COLUMNS"),
    ],
    "bisect": [
        ("report/bisection.py", "to_json"),
        ("report/bisection.py", "_json_of"),
        ("commands/bisect_sides.py", "to_json"),
    ],
}
"""Where in the package the fields are named that a command prints: a function, a class of data, or
the columns of a CSV file."""
OF_ESTIMATES = {"throughput", "cpu_efficiency", "value", "low", "high", "before", "after"}
OF_SOFTWARE = {"tensorflow", "python", "onednn", "plugin"}


def fields_in_code(file, name):
    """Keys of dictionaries and columns of a definition; annotated names of a class without any."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        names = [getattr(node, "name", None)]
        if isinstance(node, ast.Assign):
            names = [getattr(target, "id", None) for target in node.targets]
        if name not in names:
            continue
        if isinstance(node, ast.ClassDef):
            found |= {one.target.id for one in node.body if isinstance(one, ast.AnnAssign)}
        elif isinstance(node, ast.Assign):
            found |= {one.value for one in node.value.elts if isinstance(one, ast.Constant)}
        else:
            keys = [key for one in ast.walk(node) if isinstance(one, ast.Dict) for key in one.keys]
            found |= {key.value for key in keys if isinstance(key, ast.Constant)}
    assert found, f"{name} of {file}: {ABOUT_TESTS}"
    return found


@pytest.mark.parametrize("command", PRINTED)
def test_every_field_that_a_command_prints_is_in_the_reference_and_no_other(command):
    text = (REFERENCE / "printed-data.md").read_text(encoding="utf-8")
    _, _, section = text.partition(f"\n## {command}\n")
    section = section.partition("\n## ")[0]
    blocks = "\n".join(re.findall(r"```text\n(.*?)```", section, re.DOTALL))
    first_columns = [re.split(r"\s{2,}", line.strip())[0] for line in blocks.splitlines()]
    documented = set(re.findall(r"\b[a-z][a-z0-9_]*\b", " ".join(first_columns)))
    after_csv = section.partition("`--csv`")[2]
    documented |= set(words_in_code(after_csv))
    printed = set().union(*(fields_in_code(*where) for where in PRINTED[command]))
    assert printed - documented <= OF_ESTIMATES | OF_SOFTWARE
    assert documented - printed <= OF_ESTIMATES | OF_SOFTWARE
