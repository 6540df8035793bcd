"""The import contracts hold, and each of them bites when it should."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = "layers/core/mldr"
ROOMS = ("cli", "functions", "layers", "localcloud")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PLANTS = [
    ("functions/planted_door/app.py", "import boto3"),
    ("functions/planted_door/app.py", "import functions.capture_recovery_point.app"),
    ("functions/planted_door/app.py", "import localcloud.outage"),
    (f"{CORE}/steps/planted.py", "import botocore"),
    (f"{CORE}/steps/planted.py", "import mldr.aws.vault"),
    (f"{CORE}/steps/planted.py", "import mldr.registries.sagemaker"),
    (f"{CORE}/steps/planted.py", "import aws_lambda_powertools"),
    (f"{CORE}/aws/planted.py", "import mldr.registries.sagemaker"),
    (f"{CORE}/aws/planted.py", "import aws_lambda_powertools"),
    (f"{CORE}/registries/planted.py", "import mldr.aws.vault"),
    (f"{CORE}/registries/planted.py", "import mldr.steps.planted"),
    (f"{CORE}/kserve/planted.py", "import boto3"),
    (f"{CORE}/kserve/planted.py", "import mldr.aws.vault"),
    (f"{CORE}/steps/planted.py", "import mldr.kserve.rest"),
    (f"{CORE}/aws/planted.py", "import mldr.wiring"),
    (f"{CORE}/domain/planted.py", "import mldr.ports.vault"),
    (f"{CORE}/domain/planted.py", "import boto3"),
    (f"{CORE}/errors.py", "import mldr.domain.policy"),
    (f"{CORE}/ports/vault.py", "import mldr.events.message"),
    (f"{CORE}/ports/__init__.py", "import mldr.settings"),
    (f"{CORE}/ports/planted.py", "import aws_lambda_powertools"),
    (f"{CORE}/events/message.py", "import mldr.ports.vault"),
    (f"{CORE}/events/planted.py", "import boto3"),
    (f"{CORE}/settings.py", "import boto3"),
    (f"{CORE}/wiring/stack.py", "import functions.capture_recovery_point.app"),
    ("localcloud/planted.py", "import cli"),
    ("localcloud/planted.py", "import functions.capture_recovery_point.app"),
    ("cli/planted.py", "import mldr.steps.planted"),
    ("cli/planted.py", "import functions.capture_recovery_point.app"),
]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(root / "layers/core"), str(root)])
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def house(tmp_path):
    """A copy of the code that may be spoilt."""
    for name in ROOMS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold(house):
    result = lint(house)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("file", "line"), PLANTS)
def test_a_planted_violation_is_caught(house, file, line):
    target = house / file
    target.parent.mkdir(exist_ok=True)
    for imported in ("steps", "registries"):
        (house / CORE / imported / "planted.py").touch()
    target.write_text((target.read_text() if target.exists() else "") + f"\n{line}\n")
    result = lint(house)
    assert result.returncode == 1, result.stdout + result.stderr
    source = file.removeprefix("layers/core/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert f"{source} -> {line.removeprefix('import ')}" in result.stdout


def test_every_room_of_the_layer_has_its_place_in_the_contract():
    layers = next(one["layers"] for one in CONFIG["contracts"] if one["type"] == "layers")
    placed = {room.strip(" ()") for layer in layers for room in layer.split("|")}
    rooms = {f"mldr.{path.stem}" for path in (ROOT / CORE).iterdir() if not path.name.startswith("__")}
    assert rooms <= placed, f"not in the layers contract of pyproject.toml: {rooms - placed}"


@pytest.mark.parametrize("package", ["events", "ports"])
def test_a_package_of_messages_or_ports_hands_nothing_on_so_that_a_door_imports_what_it_needs(package):
    [docstring] = ast.parse((ROOT / CORE / package / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr)


def test_nothing_imports_the_tests_or_the_bench():
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    for path in files:
        for line in path.read_text().splitlines():
            assert not line.lstrip().startswith(("import tests", "from tests", "import bench", "from bench")), path
