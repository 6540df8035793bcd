"""State machines run their tasks, retries, catches, maps and waits as AWS does, and stand still with their region."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError

from localcloud.moto_repairs.distributed_map import _work_through_child_executions, _work_through_items
from tests.functional.localcloud.small_cloud import ACCOUNT, HERE, ROLE, SmallCloud, small_cloud, wait_until

INVOKE = "arn:aws:states:::lambda:invoke"
WORK = """
    import os, pathlib, time

    class NotYet(Exception):
        pass

    class Refused(Exception):
        pass

    def handler(event, context):
        marks = pathlib.Path(event["marks"]) if "marks" in event else None
        if marks:
            with marks.open("a") as file:
                file.write(f"{event.get('item', '')} {time.time()}\\n")
        time.sleep(event.get("sleep", 0))
        if event.get("refuse"):
            raise Refused("no")
        if "ready_after" in event and len(marks.read_text().splitlines()) < event["ready_after"]:
            raise NotYet("soon")
        return {"did": event.get("item"), "machine": event.get("machine")}
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCloud]:
    with small_cloud(tmp_path_factory.mktemp("state")) as started:
        started.function("work", WORK)
        started.client("s3").create_bucket(Bucket="vault", CreateBucketConfiguration={"LocationConstraint": HERE})
        yield started


def machine(cloud: SmallCloud, states: dict[str, Any], kind: str = "STANDARD") -> str:
    definition = {"StartAt": next(iter(states)), "States": states}
    name = f"machine-{time.monotonic_ns()}"
    arn: str = cloud.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=ROLE, type=kind
    )["stateMachineArn"]
    return arn


def start(cloud: SmallCloud, arn: str, given: Any = None, **name: str) -> str:
    execution: str = cloud.client("stepfunctions").start_execution(
        stateMachineArn=arn, input=json.dumps(given or {}), **name
    )["executionArn"]
    return execution


def ended(cloud: SmallCloud, execution: str, seconds: float = 15) -> dict[str, Any]:
    client = cloud.client("stepfunctions")

    def over() -> dict[str, Any] | None:
        found: dict[str, Any] = client.describe_execution(executionArn=execution)
        return None if found["status"] == "RUNNING" else found

    result: dict[str, Any] = wait_until(over, seconds)
    return result


def run(cloud: SmallCloud, states: dict[str, Any], given: Any = None) -> dict[str, Any]:
    return ended(cloud, start(cloud, machine(cloud, states), given))


def task(payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    parameters = {"FunctionName": "work", "Payload": payload}
    state = {"Type": "Task", "Resource": INVOKE, "Parameters": parameters, "End": True, **fields}
    return {name: value for name, value in state.items() if value is not None}


def test_tasks_choices_waits_passes_and_parallels(cloud: SmallCloud) -> None:
    result = run(cloud, {
        "Shape": {"Type": "Pass", "Parameters": {"seconds": 1, "item.$": "$.item"}, "Next": "Pause"},
        "Pause": {"Type": "Wait", "SecondsPath": "$.seconds", "Next": "Work"},
        "Work": task({"item.$": "$.item"}, OutputPath="$.Payload", Next="Decide", End=None),
        "Decide": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.did", "StringEquals": "a", "Next": "Both"}],
            "Default": "Bad",
        },
        "Both": {"Type": "Parallel", "End": True, "Branches": [
            {"StartAt": "Left", "States": {"Left": task({"item": "left"}, OutputPath="$.Payload.did")}},
            {"StartAt": "Right", "States": {"Right": {"Type": "Pass", "Result": "right", "End": True}}},
        ]},
        "Bad": {"Type": "Fail", "Error": "Bad"},
    }, {"item": "a"})  # fmt: skip
    assert result["status"] == "SUCCEEDED", result
    assert json.loads(result["output"]) == ["left", "right"]
    assert (result["stopDate"] - result["startDate"]).total_seconds() >= 1


def test_a_function_is_called_by_its_own_arn(cloud: SmallCloud) -> None:
    arn = f"arn:aws:lambda:{HERE}:{ACCOUNT}:function:work"
    good = run(cloud, {"Work": {"Type": "Task", "Resource": arn, "End": True}}, {"item": "a"})
    assert json.loads(good["output"])["did"] == "a"
    bad = run(cloud, {"Work": {"Type": "Task", "Resource": arn, "End": True}}, {"refuse": True})
    assert (bad["status"], bad["error"]) == ("FAILED", "Refused")
    missing = run(cloud, {"Work": {"Type": "Task", "Resource": f"{arn}-missing", "End": True}})
    assert missing["error"] == "Lambda.ResourceNotFoundException"


def test_an_error_is_retried_by_the_name_of_its_class_with_growing_pauses(cloud: SmallCloud) -> None:
    marks = cloud.state / "retried"
    retry = [
        {"ErrorEquals": ["Refused"], "MaxAttempts": 0},
        {"ErrorEquals": ["NotYet"], "IntervalSeconds": 1, "BackoffRate": 2, "MaxDelaySeconds": 1, "MaxAttempts": 3},
    ]
    work = task({"marks": str(marks), "ready_after": 3, "item": "x"}, Retry=retry)
    assert run(cloud, {"Work": work})["status"] == "SUCCEEDED"
    times = [float(line.split()[1]) for line in marks.read_text().splitlines()]
    assert len(times) == 3
    assert all(1.0 <= later - earlier < 1.9 for earlier, later in pairwise(times))


def test_an_error_without_attempts_left_is_caught_with_its_cause(cloud: SmallCloud) -> None:
    catch = [
        {"ErrorEquals": ["NotYet"], "Next": "Wrong"},
        {"ErrorEquals": ["Refused"], "ResultPath": "$.problem", "Next": "Told"},
    ]
    result = run(cloud, {
        "Work": task({"refuse": True}, Catch=catch, Retry=[{"ErrorEquals": ["NotYet"]}]),
        "Wrong": {"Type": "Fail", "Error": "Wrong"},
        "Told": {"Type": "Pass", "End": True},
    }, {"kept": 1})  # fmt: skip
    told = json.loads(result["output"])
    assert told["kept"] == 1
    assert told["problem"]["Error"] == "Refused"
    assert json.loads(told["problem"]["Cause"])["errorMessage"] == "no"


def test_a_throttled_function_and_one_that_times_out_have_their_lambda_names(cloud: SmallCloud) -> None:
    cloud.function("stopped", WORK, reserved=0)
    cloud.function("slow", WORK, Timeout=1)
    for name, payload, error in (
        ("stopped", {}, "Lambda.TooManyRequestsException"),
        ("slow", {"sleep": 5}, "Sandbox.Timedout"),
    ):
        state = {"Type": "Task", "Resource": INVOKE, "End": True}
        result = run(cloud, {"Work": {**state, "Parameters": {"FunctionName": name, "Payload": payload}}})
        assert (result["status"], result["error"]) == ("FAILED", error)


def distributed(item_task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Item",
        "States": {"Item": item_task},
    }
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket.$": "$.items.bucket", "Key.$": "$.items.key"},
    }
    return {"Type": "Map", "ItemReader": reader, "ItemProcessor": processor, "End": True, **fields}


def put_items(cloud: SmallCloud, items: list[Any]) -> dict[str, Any]:
    key = f"items-{time.monotonic_ns()}.json"
    cloud.client("s3").put_object(Bucket="vault", Key=key, Body=json.dumps(items))
    return {"items": {"bucket": "vault", "key": key}}


def test_a_distributed_map_reads_its_items_from_the_object_that_the_state_names(cloud: SmallCloud) -> None:
    marks = cloud.state / "mapped"
    item = task({"item.$": "$.copy.key", "marks": str(marks)}, OutputPath="$.Payload.did")
    given = put_items(cloud, [{"key": f"object-{number}"} for number in range(12)])
    selector = {"copy.$": "$$.Map.Item.Value", "from.$": "$.items.bucket"}
    result = run(cloud, {"Copy": distributed(item, MaxConcurrency=3, ItemSelector=selector)}, given)
    assert result["status"] == "SUCCEEDED", result
    assert json.loads(result["output"]) == [f"object-{number}" for number in range(12)]
    assert len(marks.read_text().splitlines()) == 12


@pytest.mark.parametrize("work", [_work_through_items, _work_through_child_executions])
def test_maps_take_more_items_than_python_can_recurse(work: Any) -> None:
    jobs = [SimpleNamespace(job_index=number, job_output=None) for number in range(2000)]
    waiting, closed = iter(jobs[1:]), []
    worker, frame = MagicMock(), MagicMock()
    worker.stopped.return_value = False
    worker._map_run_record.tolerated_failure_count = worker._map_run_record.tolerated_failure_percentage = 0
    worker._job_pool.next_job.side_effect = lambda: next(waiting, None)
    worker._job_pool.close_job.side_effect = closed.append
    counters = worker._map_run_record.item_counter
    counters.failed.get.return_value = counters.timed_out.get.return_value = 0
    frame.open_inner_frame.return_value.program_state.return_value = None
    work(worker, jobs[0], frame)
    assert closed == jobs


def test_a_failed_item_fails_a_distributed_map(cloud: SmallCloud) -> None:
    item = task({"item.$": "$.key", "refuse.$": "$.refuse"})
    given = put_items(cloud, [{"key": "a", "refuse": False}, {"key": "b", "refuse": True}])
    catch = [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "Told"}]
    result = run(cloud, {
        "Copy": distributed(item, Catch=catch), "Told": {"Type": "Pass", "Result": "caught", "End": True},
    }, given)  # fmt: skip
    assert json.loads(result["output"]) == "caught"
    tolerant = run(cloud, {"Copy": distributed(item, ToleratedFailureCount=1)}, given)
    assert tolerant["status"] == "SUCCEEDED"


def test_an_inline_map_fails_with_the_error_of_its_item(cloud: SmallCloud) -> None:
    states = {"Item": task({"item.$": "$.key", "refuse.$": "$.refuse"}, OutputPath="$.Payload.did")}
    inline = {
        "Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2, "End": True,
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Item", "States": states},
    }  # fmt: skip
    good = run(cloud, {"Each": inline}, {"items": [{"key": "a", "refuse": False}, {"key": "b", "refuse": False}]})
    assert json.loads(good["output"]) == ["a", "b"]
    bad = run(cloud, {"Each": inline}, {"items": [{"key": "a", "refuse": True}]})
    assert (bad["status"], bad["error"]) == ("FAILED", "Refused")


def test_a_name_is_taken_once(cloud: SmallCloud) -> None:
    arn = machine(cloud, {"Pause": {"Type": "Wait", "Seconds": 1, "End": True}})
    first = start(cloud, arn, {"a": 1}, name="only-one")
    assert start(cloud, arn, {"a": 1}, name="only-one") == first
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        start(cloud, arn, {"a": 2}, name="only-one")
    ended(cloud, first)
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        start(cloud, arn, {"a": 1}, name="only-one")
    with pytest.raises(ClientError, match="InvalidName"):
        start(cloud, arn, name="no spaces")
    assert start(cloud, arn) != start(cloud, arn)


def test_an_express_machine_runs_and_keeps_nothing(cloud: SmallCloud) -> None:
    marks = cloud.state / "express"
    arn = machine(cloud, {"Work": task({"marks": str(marks)})}, kind="EXPRESS")
    assert ":express:" in start(cloud, arn, name="twice")
    assert ":express:" in start(cloud, arn, name="twice")
    wait_until(lambda: marks.exists() and len(marks.read_text().splitlines()) == 2)


def test_every_status_of_an_execution_is_an_event(cloud: SmallCloud) -> None:
    url, queue = cloud.queue("statuses")
    arn = machine(cloud, {"Fail": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}})
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [arn]}}
    cloud.rule({"Arn": queue}, EventPattern=json.dumps(pattern))
    execution = start(cloud, arn, {"a": 1})
    events: list[Any] = []
    wait_until(lambda: events.extend(cloud.bodies(url)) or len(events) == 2)
    running, failed = sorted(events, key=lambda event: event["detail"]["status"], reverse=True)
    assert running["detail"]["status"] == "RUNNING"
    assert failed["detail-type"] == "Step Functions Execution Status Change"
    assert failed["resources"] == [execution]
    assert (failed["detail"]["status"], failed["detail"]["error"]) == ("FAILED", "Broken")
    assert json.loads(failed["detail"]["input"]) == {"a": 1}


def history(cloud: SmallCloud, execution: str) -> list[Any]:
    events = cloud.client("logs").filter_log_events(logGroupName="/states/logged")["events"]
    lines = [json.loads(event["message"]) for event in events]
    return [line for line in lines if line["execution_arn"] == execution]


def test_an_execution_writes_its_history_to_the_log_group(cloud: SmallCloud) -> None:
    cloud.client("logs").create_log_group(logGroupName="/states/logged")
    arn = f"arn:aws:logs:{HERE}:{ACCOUNT}:log-group:/states/logged:*"
    definition = json.dumps({"StartAt": "Work", "States": {"Work": task({"item": "a", "refuse": True})}})
    for level in ("ALL", "ERROR"):
        settings = {"level": level, "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]}
        made = cloud.client("stepfunctions").create_state_machine(
            name=f"logged-{level}", definition=definition, roleArn=ROLE, loggingConfiguration=settings
        )
        execution = start(cloud, made["stateMachineArn"])
        ended(cloud, execution)
        lines = wait_until(lambda execution=execution: history(cloud, execution))
        kinds = [line["type"] for line in lines]
        expected = ["ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted"] if level == "ALL" else []
        assert kinds == [*expected, "TaskFailed", "ExecutionFailed"]
        assert "input" not in lines[0]["details"]


def test_a_machine_puts_events_and_the_pattern_is_matched(cloud: SmallCloud) -> None:
    url, queue = cloud.queue("sealed")
    cloud.rule({"Arn": queue, "InputPath": "$.detail"}, EventPattern=json.dumps({"source": ["mldr"]}))
    entry = {"Source": "mldr", "DetailType": "Sealed", "Detail": {"model.$": "$.model"}, "EventBusName": "default"}
    put = {"Type": "Task", "Resource": "arn:aws:states:::events:putEvents", "Parameters": {"Entries": [entry]}}
    assert run(cloud, {"Put": {**put, "End": True}}, {"model": "fraud"})["status"] == "SUCCEEDED"
    assert wait_until(lambda: cloud.bodies(url)) == [{"model": "fraud"}]


def test_an_execution_stands_still_while_its_region_is_failed(cloud: SmallCloud) -> None:
    marks = cloud.state / "outage"
    retry = [{"ErrorEquals": ["Lambda.ServiceException"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    arn = machine(cloud, {
        "One": task({"marks": str(marks), "item": "one", "sleep": 1}, Retry=retry, Next="Two", End=None),
        "Two": task({"marks": str(marks), "item": "two"}),
    })  # fmt: skip
    execution = start(cloud, arn)
    wait_until(lambda: marks.exists() and "one" in marks.read_text())
    cloud.outage.fail(HERE)
    try:
        time.sleep(1.2)
        assert len(marks.read_text().splitlines()) == 1
    finally:
        cloud.outage.heal(HERE)
    assert ended(cloud, execution)["status"] == "SUCCEEDED"
    assert [line.split()[0] for line in marks.read_text().splitlines()] == ["one", "one", "two"]
