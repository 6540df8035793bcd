"""State machines loop, and map over nothing and over thousands of items, as AWS's do."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.localcloud.small_cloud import HERE, SmallCloud, small_cloud
from tests.functional.localcloud.test_stepfunctions import WORK, run, task

PASS = {"Type": "Pass", "End": True}
FAIL = {"Type": "Fail", "Error": "Bad"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCloud]:
    with small_cloud(tmp_path_factory.mktemp("state")) as started:
        started.function("work", WORK)
        started.client("s3").create_bucket(Bucket="vault", CreateBucketConfiguration={"LocationConstraint": HERE})
        yield started


def items(cloud: SmallCloud, found: list[Any]) -> dict[str, Any]:
    """An input that names the items' object, which it makes."""
    key = f"items/{time.monotonic_ns()}.json"
    cloud.client("s3").put_object(Bucket="vault", Key=key, Body=json.dumps(found).encode())
    return {"items_key": key, "workers": 5}


def distributed(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": "vault", "Key.$": "$.items_key"},
    }
    mode = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    processor = {"ProcessorConfig": mode, "StartAt": "One", "States": {"One": state}}
    end = {} if "Next" in fields else {"End": True}
    return {"Type": "Map", "ItemReader": reader, "ItemProcessor": processor, **end, **fields}


def inline(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": {"StartAt": "One", "States": {"One": state}}, "End": True, **fields}


def failing(number: int) -> dict[str, Any]:
    """A processor that fails for one item."""
    wrong = {"Variable": "$.number", "NumericEquals": number, "Next": "Bad"}
    states = {"One": {"Type": "Choice", "Choices": [wrong], "Default": "Good"}, "Good": PASS, "Bad": FAIL}
    return {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "One", "States": states}


def test_a_choice_leads_back_hundreds_of_times(cloud: SmallCloud) -> None:
    result = run(cloud, {
        "Count": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Enough"},
        "Enough": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 700, "Next": "Count"}],
            "Default": "Done",
        },
        "Done": {"Type": "Succeed"},
    }, {"n": 0})  # fmt: skip
    assert (result["status"], json.loads(result["output"])) == ("SUCCEEDED", {"n": 700})


def test_a_loop_of_distributed_maps_reads_each_rounds_own_items(cloud: SmallCloud) -> None:
    rounds = [items(cloud, [1, 2, 3])["items_key"], items(cloud, [4])["items_key"]]
    count = {"count.$": "States.ArrayLength($)"}
    given = {"items_key.$": "States.ArrayGetItem($.rounds, $.round)", "rounds.$": "$.rounds", "round.$": "$.round"}
    following = {"round.$": "States.MathAdd($.round, 1)", "rounds.$": "$.rounds", "last.$": "$.done.count"}
    result = run(cloud, {
        "Next": {"Type": "Pass", "Parameters": given, "Next": "Copy"},
        "Copy": distributed(PASS, ResultSelector=count, ResultPath="$.done", Next="Step"),
        "Step": {"Type": "Pass", "Parameters": following, "Next": "More"},
        "More": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.round", "NumericLessThan": 2, "Next": "Next"}],
            "Default": "Done",
        },
        "Done": {"Type": "Succeed"},
    }, {"rounds": rounds, "round": 0})  # fmt: skip
    assert result["status"] == "SUCCEEDED", result
    assert json.loads(result["output"])["last"] == 1


def test_thousands_of_items_leave_a_small_result(cloud: SmallCloud) -> None:
    small = {"ResultSelector": {"count.$": "States.ArrayLength($)"}, "ResultPath": "$.copied"}
    given = items(cloud, [{"number": number, "objects": 3} for number in range(3000)])
    result = run(cloud, {"Copy": distributed(PASS, MaxConcurrency=20, **small)}, given)
    assert result["status"] == "SUCCEEDED", result
    assert json.loads(result["output"])["copied"] == {"count": 3000}


@pytest.mark.parametrize("path", ["MaxConcurrencyPath", "MaxConcurrency"])
def test_no_more_items_run_at_once_than_allowed(cloud: SmallCloud, path: str) -> None:
    marks = cloud.state / path
    given = {**items(cloud, list(range(6))), "workers": 2, "marks": str(marks)}
    limit: Any = "$.workers" if path.endswith("Path") else 2
    work = task({"marks.$": "$.marks", "sleep": 0.4})
    selector = {"marks.$": "$.marks"}
    result = run(cloud, {"Copy": distributed(work, ItemSelector=selector, ResultPath=None, **{path: limit})}, given)
    assert result["status"] == "SUCCEEDED", result
    began = sorted(float(line.split()[-1]) for line in marks.read_text().splitlines())
    assert len(began) == 6
    assert all(later - earlier > 0.3 for earlier, later in zip(began, began[2:], strict=False))


def test_maps_over_nothing_succeed_with_nothing(cloud: SmallCloud) -> None:
    empty = run(cloud, {"Copy": distributed(FAIL)}, items(cloud, []))
    assert (empty["status"], json.loads(empty["output"])) == ("SUCCEEDED", [])
    none = run(cloud, {"Copy": inline(FAIL, ItemsPath="$.found")}, {"found": []})
    assert (none["status"], json.loads(none["output"])) == ("SUCCEEDED", [])


@pytest.mark.parametrize(
    ("tolerated", "status"),
    [
        ({"ToleratedFailurePercentage": 0}, "FAILED"),
        ({"ToleratedFailureCount": 0}, "FAILED"),
        ({"ToleratedFailurePercentage": 1}, "FAILED"),
        ({"ToleratedFailurePercentage": 20}, "SUCCEEDED"),
        ({"ToleratedFailureCount": 1}, "SUCCEEDED"),
    ],
)
def test_a_failed_item_fails_the_map_beyond_what_is_tolerated(
    cloud: SmallCloud, tolerated: dict[str, Any], status: str
) -> None:
    given = items(cloud, [{"number": number} for number in range(10)])
    result = run(cloud, {"Copy": distributed(PASS, ItemProcessor=failing(4), **tolerated)}, given)
    assert result["status"] == status, result
    assert result.get("error") == ("States.ExceedToleratedFailureThreshold" if status == "FAILED" else None)


def test_an_items_object_that_is_missing_fails_the_map_by_its_name(cloud: SmallCloud) -> None:
    missing = {"items_key": "none"}
    result = run(cloud, {"Copy": distributed(PASS)}, missing)
    assert (result["status"], result["error"]) == ("FAILED", "States.ItemReaderFailed")
    catch = [{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "Told"}]
    caught = run(cloud, {"Copy": distributed(PASS, Catch=catch), "Told": {**PASS, "Result": "caught"}}, missing)
    assert json.loads(caught["output"]) == "caught"


def test_a_retry_may_have_very_many_attempts(cloud: SmallCloud) -> None:
    marks = cloud.state / "many"
    retry = [{"ErrorEquals": ["NotYet"], "IntervalSeconds": 1, "MaxAttempts": 99999, "MaxDelaySeconds": 1}]
    result = run(cloud, {"Work": task({"marks": str(marks), "ready_after": 6}, Retry=retry)})
    assert (result["status"], len(marks.read_text().splitlines())) == ("SUCCEEDED", 6)


def test_what_states_hand_on_is_limited_as_in_aws(cloud: SmallCloud) -> None:
    given = items(cloud, [{"text": "x" * 200, "number": number} for number in range(1500)])
    result = run(cloud, {"Copy": distributed(PASS, Next="Done"), "Done": {"Type": "Succeed"}}, given)
    assert (result["status"], result["error"]) == ("FAILED", "States.DataLimitExceeded")
