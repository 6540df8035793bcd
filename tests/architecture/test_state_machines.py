"""The state machines name errors that exist, call functions that are deployed, and end every failure somewhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.deploy.translate import load
from mldr import errors
from mldr.aws.workflows import CONCLUDED

ROOT = Path(__file__).parents[2]
DEFINITIONS = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "statemachines").glob("*.asl.json"))}
RESOURCES = load(ROOT / "template.yaml")["Resources"]
MACHINES = {
    Path(one["Properties"]["DefinitionUri"]).name: one["Properties"]
    for one in RESOURCES.values()
    if one["Type"] == "AWS::Serverless::StateMachine"
}
OF_AWS = re.compile(r"(States|Lambda|Sandbox|Runtime)\.[A-Za-z]+")


def states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state, those inside a Map among them."""
    for name, state in definition["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


ALL = [(file, name, state) for file, definition in DEFINITIONS.items() for name, state in states(definition)]
TASKS = [one for one in ALL if one[2]["Type"] == "Task"]
IDS = [f"{file}-{name}" for file, name, _ in ALL]


def leaves(kind: type[Exception] = errors.MldrError) -> Iterator[type[Exception]]:
    """Errors that are raised: those without a subclass."""
    for one in kind.__subclasses__():
        yield from leaves(one) if one.__subclasses__() else [one]


LEAVES = {one.__name__: one for one in leaves()}


@pytest.mark.parametrize(("file", "name", "state"), ALL, ids=IDS)
def test_every_error_named_is_a_leaf_of_ours_or_one_of_awss(file, name, state):
    for rule in (*state.get("Retry", []), *state.get("Catch", [])):
        for error in rule["ErrorEquals"]:
            assert error in LEAVES or OF_AWS.fullmatch(error), error


@pytest.mark.parametrize(("file", "name", "state"), ALL, ids=IDS)
def test_only_what_may_pass_is_retried(file, name, state):
    """EndpointFailed stands among them where questions are asked: one answer that fails proves nothing yet."""
    for rule in state.get("Retry", []):
        permanent = [
            one for one in rule["ErrorEquals"] if one in LEAVES and not issubclass(LEAVES[one], errors.Retryable)
        ]
        asks = name in ("WarmServing", "VerifyServing") and rule["ErrorEquals"] == ["EndpointFailed"]
        assert permanent == (["EndpointFailed"] if asks else [])


@pytest.mark.parametrize(("file", "name", "state"), TASKS, ids=[f"{file}-{name}" for file, name, _ in TASKS])
def test_every_task_outlasts_throttling_and_a_lambda_service_error(file, name, state):
    retried = {error for rule in state["Retry"] for error in rule["ErrorEquals"]}
    assert {"Throttled", "RegionUnreachable", "Lambda.ServiceException", "Lambda.TooManyRequestsException"} <= retried


@pytest.mark.parametrize("file", ["protect.asl.json", "failover.asl.json", "evacuate.asl.json"])
def test_every_task_that_can_fail_records_its_failure(file):
    for name, state in DEFINITIONS[file]["States"].items():
        if state["Type"] in ("Task", "Map") and name not in ("RecordFailure", "Conclude"):
            caught = {rule["Next"] for rule in state["Catch"] if "States.ALL" in rule["ErrorEquals"]}
            assert caught == {"RecordFailure"}, name


def test_every_leaf_that_the_retryables_promise_is_retried_somewhere():
    """LostRace is decided again by the claim, and ends a superseded protection quietly.

    RegionSwitchUnderway is no state machine's: ARC Region switch asks again after the block's retry interval.
    """
    retried = {error for _, _, state in ALL for rule in state.get("Retry", []) for error in rule["ErrorEquals"]}
    retryable = {name for name, one in LEAVES.items() if issubclass(one, errors.Retryable)}
    assert retryable <= {*retried, "RegionSwitchUnderway"}


@pytest.mark.parametrize("file", DEFINITIONS)
def test_every_substitution_is_given_and_every_function_called_may_be_invoked(file):
    wanted = set(re.findall(r"\$\{(\w+)\}", (ROOT / "statemachines" / file).read_text()))
    machine = MACHINES[file]
    assert wanted == set(machine["DefinitionSubstitutions"])
    allowed = [
        resource
        for policy in machine["Policies"]
        for statement in policy["Statement"]
        if statement["Action"] == "lambda:InvokeFunction"
        for resource in statement["Resource"]
    ]
    called = [value for name, value in machine["DefinitionSubstitutions"].items() if name.endswith("FunctionArn")]
    assert sorted(map(str, allowed)) == sorted(map(str, called))


@pytest.mark.parametrize("file", DEFINITIONS)
def test_every_machine_has_a_time_limit_and_a_log(file):
    assert DEFINITIONS[file]["TimeoutSeconds"] > 0
    assert MACHINES[file]["Logging"]["Destinations"]


def test_the_tree_in_the_docstring_is_the_tree_of_classes():
    drawn = re.findall(r"^ +[-+*] (\w+)", errors.__doc__, re.MULTILINE)
    classes = {
        name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.MldrError)
    }
    assert set(drawn) | {"MldrError"} == classes
    assert {name for name in drawn if name not in ("Retryable", "Permanent")} == set(LEAVES)


def test_every_leaf_is_raised_somewhere():
    sources = "\n".join(
        path.read_text() for path in (ROOT / "layers/core/mldr").rglob("*.py") if path.name != "errors.py"
    )
    assert [name for name in LEAVES if not re.search(rf"\b{name}\(", sources)] == []


def test_every_fail_state_is_known_as_a_conclusion():
    """An execution that fails in any other way was lost, and the same message starts it again."""
    assert {state["Error"] for _, _, state in ALL if state["Type"] == "Fail"} == CONCLUDED


def test_a_flipped_switch_is_looked_for_from_outside_longer_than_dns_may_take():
    """Ten looks in a row that turn a check, each half a minute apart, and an answer that lives for minutes."""
    confirm = DEFINITIONS["failover.asl.json"]["States"]["ConfirmTakeover"]
    [rule] = [rule for rule in confirm["Retry"] if rule["ErrorEquals"] == ["NotConfirmed"]]
    assert rule["BackoffRate"] == 1.0
    assert rule["MaxAttempts"] * rule["IntervalSeconds"] >= 10 * 30 + 300
