"""The repository checks itself: what it may name, how long its functions are, and that nothing is left over."""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("layers/core/mldr", "functions", "localcloud", "cli")
SUITES = ("unit", "contract", "functional", "architecture", "e2e")
LONGEST, USUAL = 40, 20
TEXT = {
    "",
    ".cfg",
    ".css",
    ".editorconfig",
    ".gitignore",
    ".html",
    ".in",
    ".json",
    ".jsonl",
    ".md",
    ".py",
    ".sh",
    ".toml",
}
TEXT |= {".txt", ".yaml", ".yml"}
# Written in pieces, so that this file does not name what it looks for.
REGISTRY_HOSTS = (
    "pypi" + ".org",
    "files.python" + "hosted.org",
    "registry.npm" + "js.org",
    "--index" + "-url",
    "--extra-index" + "-url",
)
MACHINE_PATHS = ("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/op" + "t/pypi")
EXEMPTIONS = {
    "# no" + "qa": r": ?[A-Z]+\d+(, ?[A-Z]+\d+)*[ :-]+[A-Za-z]",
    "# type: ig" + "nore": r"\[[a-z, -]+\]",  # the code says what the stubs get wrong
    "# pragma: no " + "cover": r"\W+\w",
}
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error")


def files() -> list[Path]:
    """Every text file that is, or would be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [ROOT / name for name in names]
    return [path for path in paths if path.is_file() and path.suffix in TEXT]


def modules() -> list[Path]:
    """Every Python module, tests included."""
    return [path for path in files() if path.suffix == ".py"]


def functions_of(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of every function in a module: its signature and its body, without the docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first, told = node.body[0], ast.get_docstring(node) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if told else 0
            length = (node.end_lineno or 0) - node.lineno + 1 - docstring
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", length


def lengths(rooms: tuple[str, ...] = ROOMS) -> dict[str, int]:
    """Every function of some rooms, with its length."""
    paths = [path for path in modules() if str(path.relative_to(ROOT)).startswith(rooms)]
    return dict(item for path in paths for item in functions_of(path))


def lines_with(words: tuple[str, ...]) -> list[str]:
    """Where any of the words stands."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if any(word in line for word in words)
    ]


def test_no_function_is_longer_than_the_hard_stop():
    rooms = (*ROOMS, "bench/", "tests/chaos/", "tests/fakes/")
    assert {name: length for name, length in lengths(rooms).items() if length > LONGEST} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_nine_functions_in_ten_are_short(room):
    found = [length for name, length in lengths().items() if name.startswith(room)]
    assert len(found) < 10 or statistics.quantiles(found, n=10)[-1] <= USUAL, sorted(found)[-len(found) // 10 :]


def test_every_module_says_what_it_is_for():
    silent = [path for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert [str(path.relative_to(ROOT)) for path in silent] == []


@pytest.mark.parametrize("words", [REGISTRY_HOSTS, MACHINE_PATHS, UNFINISHED], ids=["hosts", "paths", "unfinished"])
def test_the_repository_does_not_name(words):
    assert lines_with(words) == []


def test_every_requirement_is_hashed_and_names_no_place():
    locks = [*ROOT.glob("requirements/*.txt"), ROOT / "layers/core/requirements.txt"]
    assert len(locks) == 7
    for lock in locks:
        text = lock.read_text()
        pinned = re.findall(r"^[A-Za-z0-9]\S*", text, re.MULTILINE)
        assert pinned, lock
        assert all("==" in name for name in pinned), lock
        assert text.count("--hash=sha256:") >= len(pinned), lock
        assert not re.search(r"://|file:| @ ", text), lock


def test_what_the_layer_pins_is_what_the_tests_run():
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([A-Za-z0-9].*?==[^ ;\\]+)", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("layers/core/requirements.txt") <= pins("requirements/dev.txt")


def unreasoned(line: str) -> bool:
    """Whether a line switches a check off without naming the rule, or a rule of style without saying why."""
    return any(mark in line and not re.search(mark + reasoned, line) for mark, reasoned in EXEMPTIONS.items())


def test_every_lint_exemption_names_its_rule_and_gives_a_reason():
    assert [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if unreasoned(line)
    ] == []


@pytest.mark.parametrize(
    ("comment", "bare"),
    [
        ("# no" + "qa", True),
        ("# no" + "qa: E402", True),
        ("# no" + "qa: E402, S101", True),
        ("# no" + "qa: E402 - found later", False),
        ("# type: ig" + "nore", True),
        ("# type: ig" + "nore[arg-type]", False),
        ("# pragma: no " + "cover", True),
        ("# pragma: no " + "cover - macOS only", False),
        ("x = 1  # why", False),
    ],
)
def test_an_exemption_without_a_reason_is_seen(comment, bare):
    assert unreasoned(comment) is bare


def test_every_function_folder_is_deployed_and_holds_one_file():
    template = (ROOT / "template.yaml").read_text()
    deployed = set(re.findall(r"CodeUri: functions/(\w+)", template))
    folders = {path.parent for path in modules() if path.is_relative_to(ROOT / "functions")}
    assert {folder.name for folder in folders} == deployed
    for folder in folders:
        assert [path.name for path in files() if path.parent == folder] == ["app.py"]


def test_all_five_suites_hold_tests():
    assert [suite for suite in SUITES if not list((ROOT / "tests" / suite).rglob("test_*.py"))] == []


def test_every_make_target_is_explained_and_documented():
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (\S+)", makefile, re.MULTILINE))
    explained = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    told = {name for path in documents for name in re.findall(r"\bmake ([a-z0-9-]+)", path.read_text())}
    assert phony == explained
    assert explained - told - {"help"} == set(), "not in README.md or docs/"
    assert {name for path in documents for name in re.findall(r"`make ([a-z0-9-]+)", path.read_text())} <= explained


def test_no_folder_is_a_drawer_for_everything():
    drawers = {"utils", "helpers", "common", "misc"}
    assert [str(path.relative_to(ROOT)) for path in files() if drawers & {*path.parts, path.stem}] == []


def test_what_a_package_of_tests_keeps_ends_with_that_package():
    """pytest keeps it for the whole session where the folder has no `__init__.py`, and in a module of its own."""
    told = re.compile(r"^@pytest\.fixture\(.*scope=\"package\"", re.MULTILINE)
    keeping = [path for path in modules() if ROOT / "tests" in path.parents and told.search(path.read_text())]
    in_place = [one for one in keeping if one.name == "conftest.py" and one.with_name("__init__.py").is_file()]
    assert keeping == in_place != []
