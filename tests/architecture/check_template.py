"""`make check`: the template as AWS's own tools see it (sam, cfn-lint, statelint), in an environment of their own."""

import copy
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from statelint.linter import Linter

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
# Where each kind of resource names a local file that `sam package` would upload.
LOCAL_FILES = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}
BUCKET = "packaged"

sys.path.insert(0, str(ROOT))
from localcloud.deploy.translate import load, translate  # noqa: E402 -- this environment has no mldr installed


def run(*command: str) -> list[str]:
    """A tool's complaint: empty when it is content."""
    calm = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "ap-southeast-1"}
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    done = subprocess.run(
        [str(TOOLS / command[0]), *command[1:]],
        cwd=ROOT,
        env=os.environ | calm | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if done.returncode == 0 else [*done.stdout.splitlines(), *done.stderr.splitlines()]


def regions() -> list[str]:
    """The regions that samconfig.toml deploys to."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    return [name for name, table in config.items() if isinstance(table, dict) and "deploy" in table and "-" in name]


def definitions() -> dict[str, dict[str, Any]]:
    """Every state machine's definition, by its path in the template."""
    resources = load(ROOT / "template.yaml")["Resources"].values()
    machines = [one["Properties"] for one in resources if one["Type"] == "AWS::Serverless::StateMachine"]
    return {one["DefinitionUri"]: json.loads((ROOT / one["DefinitionUri"]).read_text()) for one in machines}


def sam_validate() -> list[str]:
    """SAM's own schema, and cfn-lint on the untranslated template."""
    return run("sam", "validate", "--lint", "--template", "template.yaml")


def lint_translation() -> list[str]:
    """cfn-lint on what CloudFormation will receive, with every state machine's definition in its place."""
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for region in regions():
            target = Path(folder) / f"{region}.json"
            target.write_text(json.dumps(translated(region), indent=1, default=str))
            problems += run("cfn-lint", "--regions", region, "--format", "parseable", "--", str(target))
    return problems


def translated(region: str) -> dict[str, Any]:
    """The template after SAM's translation; local files count as uploaded."""
    template = copy.deepcopy(load(ROOT / "template.yaml"))
    for resource in template["Resources"].values():
        field = LOCAL_FILES.get(resource["Type"])
        if field:
            resource["Properties"][field] = {"Bucket": BUCKET, "Key": resource["Properties"][field]}
    result = translate(template, {}, region)
    known = definitions()
    for resource in result["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            resource["Properties"]["Definition"] = known[resource["Properties"].pop("DefinitionS3Location")["Key"]]
    return result


def lint_state_machines() -> list[str]:
    """The states language: dangling and unreachable states, wrong fields, unreadable paths."""
    return [
        f"{path}: {problem}"
        for path, definition in definitions().items()
        for problem in Linter.validate(without_newer_fields(definition))
    ]


def without_newer_fields(definition: dict[str, Any]) -> dict[str, Any]:
    """statelint does not know two fields of a distributed Map yet; cfn-lint checks those."""
    known = copy.deepcopy(definition)
    for state in distributed_maps(known):
        state.pop("Label", None)
        state.get("ItemReader", {}).get("ReaderConfig", {}).pop("InputType", None)
    return known


def distributed_maps(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every distributed Map of a machine, however deep."""
    for state in machine.get("States", {}).values():
        inner = state.get("ItemProcessor", {})
        if inner.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
            yield state
        for nested in (inner, *state.get("Branches", [])):
            yield from distributed_maps(nested)


def sam_build() -> list[str]:
    """The real build: functions as they are, the layer for arm64 by its own Makefile."""
    return run("sam", "build", "--parallel", "--cached", "--template", "template.yaml")


STEPS: dict[str, Callable[[], list[str]]] = {
    "sam validate --lint": sam_validate,
    "cfn-lint on the translation": lint_translation,
    "statelint on the state machines": lint_state_machines,
    "sam build": sam_build,
}


def main() -> int:
    """Run every step, even after one has failed, and say what each found."""
    # The translator counts its use and complains when nobody collects the figures.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    failed = 0
    for name, step in STEPS.items():
        start = time.monotonic()
        problems = step()
        failed += bool(problems)
        sys.stdout.write(f"{'FAIL' if problems else 'ok  '} {name} ({time.monotonic() - start:.1f} s)\n")
        sys.stdout.writelines(f"     {line}\n" for line in problems)
        sys.stdout.flush()
    sys.stdout.write(f"{len(STEPS) - failed} passed, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
