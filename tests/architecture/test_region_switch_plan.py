"""The example plan of ARC Region switch is one that the service's own model accepts, and calls what the stack has."""

from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from localcloud.deploy.translate import load

ROOT = Path(__file__).parents[2]
PLAN = load(ROOT / "docs/region-switch-plan.yaml")["Resources"]["Plan"]["Properties"]
FUNCTIONS = {
    one["Properties"]["FunctionName"]["Fn::Sub"]
    for one in load(ROOT / "template.yaml")["Resources"].values()
    if one["Type"] == "AWS::Serverless::Function"
}
MODEL = botocore.session.get_session().get_service_model("arc-region-switch")
ARN = "arn:aws:iam::123456789012:role/x"


def as_asked(value: Any) -> Any:
    """CloudFormation's properties as CreatePlan takes them; what an intrinsic gives is a text."""
    if isinstance(value, list):
        return [as_asked(one) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
        return ARN if "Fn::GetAtt" in value else str(next(iter(value.values())))
    return {name[0].lower() + name[1:]: as_asked(one) for name, one in value.items()}


def mistakes(plan: dict[str, Any]) -> str:
    """What the service's model has against a plan."""
    return str(
        ParamValidator().validate(as_asked(plan), MODEL.operation_model("CreatePlan").input_shape).generate_report()
    )


def lambda_step() -> dict[str, Any]:
    """The step that calls mldr."""
    [workflow] = PLAN["Workflows"]
    [step] = [one for one in workflow["Steps"] if one["ExecutionBlockType"] == "CustomActionLambda"]
    found: dict[str, Any] = step["ExecutionBlockConfiguration"]["CustomActionLambdaConfig"]
    return found


def test_the_plan_has_every_field_that_the_service_asks_for_and_no_other():
    assert mistakes(PLAN) == ""
    assert "typo" in mistakes({**PLAN, "Typo": 1})
    assert "regions" in mistakes({name: one for name, one in PLAN.items() if name != "Regions"})


def test_it_calls_the_stacks_function_in_the_region_that_is_activated():
    step = lambda_step()
    called = [one["Arn"]["Fn::Sub"].rpartition(":")[2] for one in step["Lambdas"]]
    assert len(called) == 2
    assert set(called) <= FUNCTIONS
    assert step["RegionToRun"] == "activatingRegion"


@pytest.mark.parametrize(
    "file", ["docs/region-switch-plan.yaml", "docs/operators-guide.md", "docs/decisions/0020-switches.md"]
)
def test_everybody_who_reads_of_a_lambda_block_reads_that_it_is_skipped_in_ungraceful_mode(file):
    text = (ROOT / file).read_text()
    assert "SKIP" in text
    assert "ngraceful" in text or "UNGRACEFUL" in text
    assert lambda_step()["Ungraceful"] == {"Behavior": "skip"}
