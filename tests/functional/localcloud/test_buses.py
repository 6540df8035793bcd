"""Events take the way that rules describe, arrive whole in the other region, and are never lost in silence."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from moto.events.models import events_backends

from localcloud.buses import EventRouter
from localcloud.delivery_rights import DeliveryRights
from localcloud.permissions import Permissions
from localcloud.transformers import render
from tests.functional.localcloud.small_cloud import ACCOUNT, HERE, ROLE, THERE, SmallCloud, small_cloud, wait_until

ECHO = """
    import os, pathlib

    def handler(event, context):
        with pathlib.Path(os.environ["SEEN"]).open("a") as file:
            file.write(str(event["id"]) + "\\n")
        if event["detail"].get("fail"):
            raise RuntimeError("not now")
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCloud]:
    with small_cloud(tmp_path_factory.mktemp("state")) as started:
        started.client("events", HERE).create_event_bus(Name="mldr")
        yield started


def put(cloud: SmallCloud, source: str, detail: Any = None, region: str = HERE, **entry: Any) -> dict[str, Any]:
    event = {"Source": source, "DetailType": "Tested", "Detail": json.dumps(detail or {}), **entry}
    answer: dict[str, Any] = cloud.client("events", region).put_events(Entries=[event])["Entries"][0]
    return answer


def matching(source: str) -> str:
    return json.dumps({"source": [source]})


def event(source: str, **fields: Any) -> dict[str, Any]:
    return {
        "version": "0", "id": "an-id", "detail-type": "Tested", "source": source, "account": ACCOUNT,
        "time": "2026-01-02T03:04:05Z", "region": HERE, "resources": ["arn:x"], "detail": {}, **fields,
    }  # fmt: skip


def test_a_matching_event_arrives_with_its_envelope(cloud: SmallCloud) -> None:
    url, queue = cloud.queue("plain")
    cloud.rule({"Arn": queue}, EventPattern=json.dumps({"source": ["plain"], "detail": {"a": [{"prefix": "x"}]}}))
    put(cloud, "plain", {"a": "no"})
    identity = put(cloud, "plain", {"a": "xyz"}, Resources=["arn:r"])["EventId"]
    (found,) = wait_until(lambda: cloud.bodies(url))
    assert found["time"].endswith("Z")
    del found["time"]
    assert found == {
        "version": "0", "id": identity, "detail-type": "Tested", "source": "plain", "account": ACCOUNT,
        "region": HERE, "resources": ["arn:r"], "detail": {"a": "xyz"},
    }  # fmt: skip


def test_a_target_that_does_not_let_eventbridge_in_is_dead_lettered(cloud: SmallCloud) -> None:
    dead, dead_arn = cloud.queue("closed-dlq")
    url, queue = cloud.queue("closed")
    rights = DeliveryRights(ACCOUNT, Permissions(ACCOUNT).role_refusal)
    closed = EventRouter(ACCOUNT, cloud.outage, cloud.clock, cloud.runtime, rights.forbids_delivery)
    bus = f"arn:aws:events:{THERE}:{ACCOUNT}:event-bus/default"
    rule = cloud.rule({"Arn": queue, "DeadLetterConfig": {"Arn": dead_arn}}, EventPattern=matching("closed"))
    name = rule.rsplit("/", 1)[-1]
    far = {"Id": "far", "Arn": bus, "RoleArn": ROLE, "DeadLetterConfig": {"Arn": dead_arn}}
    cloud.client("events").put_targets(Rule=name, Targets=[far])
    closed.start()
    try:
        closed.emit(HERE, event("closed"))
        refused = wait_until(lambda: cloud.messages(dead)) + cloud.messages(dead)
        told = [message["MessageAttributes"] for message in refused]
        assert {one["ERROR_CODE"]["StringValue"] for one in told} == {"NO_PERMISSIONS"}
        assert cloud.bodies(url) == []
        policy = allowing("sqs:SendMessage", queue, rule)
        cloud.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        closed.emit(HERE, event("closed"))
        assert wait_until(lambda: cloud.bodies(url))
    finally:
        closed.stop()


def allowing(action: str, arn: str, rule: str) -> str:
    statement = {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": action, "Resource": arn,
        "Condition": {"ArnLike": {"aws:SourceArn": rule}},
    }  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_every_kind_of_target_must_let_eventbridge_in(cloud: SmallCloud) -> None:
    function = cloud.function("guarded", ECHO)
    topic = cloud.client("sns").create_topic(Name="guarded")["TopicArn"]
    machine = f"arn:aws:states:{HERE}:{ACCOUNT}:stateMachine:guarded"
    role = cloud.client("iam").create_role(RoleName="starter", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    arn = cloud.rule({"Arn": topic}, EventPattern=matching("guarded"))
    rule = events_backends[ACCOUNT][HERE].event_buses["default"].rules[arn.rsplit("/", 1)[-1]]
    rights = DeliveryRights(ACCOUNT, Permissions(ACCOUNT).role_refusal)
    targets = [{"Arn": function}, {"Arn": topic}, {"Arn": machine, "RoleArn": role}]
    assert all(rights.forbids_delivery(rule, target) for target in targets)
    assert "RoleArn" in str(rights.forbids_delivery(rule, {"Arn": machine}))
    cloud.client("lambda").add_permission(
        FunctionName="guarded", StatementId="rule", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
        SourceArn=arn,
    )  # fmt: skip
    policy = allowing("sns:Publish", topic, arn)
    cloud.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    start = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": machine}
    document = json.dumps({"Version": "2012-10-17", "Statement": [start]})
    cloud.client("iam").put_role_policy(RoleName="starter", PolicyName="start", PolicyDocument=document)
    assert [rights.forbids_delivery(rule, target) for target in targets] == [None, None, None]
    local_bus = f"arn:aws:events:{HERE}:{ACCOUNT}:event-bus/mldr"
    assert rights.forbids_delivery(rule, {"Arn": local_bus}) is None


def test_put_events_still_refuses_what_is_malformed(cloud: SmallCloud) -> None:
    assert put(cloud, "bad", Detail="{not json")["ErrorCode"] == "MalformedDetail"
    assert put(cloud, "", {})["ErrorCode"] == "InvalidArgument"


def test_disabled_rules_and_schedules_take_no_events(cloud: SmallCloud) -> None:
    url, queue = cloud.queue("silent")
    cloud.rule({"Arn": queue}, EventPattern=matching("silent"), State="DISABLED")
    cloud.rule({"Arn": queue}, ScheduleExpression="rate(1 day)")
    put(cloud, "silent")
    time.sleep(0.5)
    assert cloud.bodies(url) == []


def test_an_event_crosses_to_the_other_region_intact(cloud: SmallCloud) -> None:
    url, queue = cloud.queue("arrived")
    cloud.rule({"Arn": queue}, bus="mldr", EventPattern=matching("crossing"))
    bus = f"arn:aws:events:{HERE}:{ACCOUNT}:event-bus/mldr"
    cloud.rule({"Arn": bus, "RoleArn": ROLE}, region=THERE, EventPattern=matching("crossing"))
    sent = event("crossing", region=THERE, detail={"deep": {"er": 1}})
    cloud.router.emit(THERE, sent)
    assert wait_until(lambda: cloud.bodies(url)) == [sent]


def test_what_is_sent_to_a_failed_region_arrives_after_it_healed(cloud: SmallCloud) -> None:
    url, queue = cloud.queue("delayed", region=THERE)
    cloud.client("events", THERE).create_event_bus(Name="far")
    cloud.rule({"Arn": queue}, region=THERE, bus="far", EventPattern=matching("delayed"))
    bus = f"arn:aws:events:{THERE}:{ACCOUNT}:event-bus/far"
    once = {"MaximumRetryAttempts": 0}
    cloud.rule({"Arn": bus, "RoleArn": ROLE, "RetryPolicy": once}, EventPattern=matching("delayed"))
    cloud.outage.fail(THERE)
    put(cloud, "delayed", {"n": 1})
    time.sleep(1.5)
    cloud.outage.heal(THERE)
    (found,) = wait_until(lambda: cloud.bodies(url, THERE), 3)
    assert (found["detail"], found["region"]) == ({"n": 1}, HERE)


def test_an_event_that_grew_too_old_for_a_failed_region_is_in_the_dead_letter_queue(cloud: SmallCloud) -> None:
    dead, dead_arn = cloud.queue("too-old-dlq")
    cloud.queue("too-old", region=THERE)
    bus = f"arn:aws:events:{THERE}:{ACCOUNT}:event-bus/default"
    retry = {"MaximumEventAgeInSeconds": 60}
    target = {"Arn": bus, "RoleArn": ROLE, "RetryPolicy": retry, "DeadLetterConfig": {"Arn": dead_arn}}
    cloud.rule(target, EventPattern=matching("too-old"))
    cloud.outage.fail(THERE)
    try:
        put(cloud, "too-old")
        time.sleep(0.3)
        cloud.clock.advance(61)
        (message,) = wait_until(lambda: cloud.messages(dead), 3)
    finally:
        cloud.outage.heal(THERE)
    assert message["MessageAttributes"]["EXHAUSTED_RETRY_CONDITION"]["StringValue"] == "MaximumEventAgeInSeconds"
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "REGION_UNAVAILABLE"


def test_a_target_that_fails_is_retried_and_then_dead_lettered_and_its_neighbour_is_served(
    cloud: SmallCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, dead_arn = cloud.queue("failing-dlq")
    url, queue = cloud.queue("neighbour")
    attempts: list[str] = []

    def broken(*_: Any, **__: Any) -> None:
        attempts.append("tried")
        raise ConnectionError("the topic is on fire")

    monkeypatch.setattr(cloud.router, "_to_sns", broken)
    topic = cloud.client("sns").create_topic(Name="burning")["TopicArn"]
    failing = {"Arn": topic, "RetryPolicy": {"MaximumRetryAttempts": 2}, "DeadLetterConfig": {"Arn": dead_arn}}
    rule = cloud.rule(failing, EventPattern=matching("failing"))
    cloud.client("events").put_targets(Rule=rule.rsplit("/", 1)[-1], Targets=[{"Id": "two", "Arn": queue}])
    identity = put(cloud, "failing", {"n": 1})["EventId"]
    assert wait_until(lambda: cloud.bodies(url))[0]["id"] == identity
    (message,) = wait_until(lambda: cloud.messages(dead))
    assert json.loads(message["Body"])["id"] == identity
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert told == {
        "RULE_ARN": rule, "TARGET_ARN": topic, "ERROR_CODE": "ConnectionError", "RETRY_ATTEMPTS": "2",
        "ERROR_MESSAGE": "the topic is on fire", "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    }  # fmt: skip
    assert len(attempts) == 3


@pytest.mark.parametrize("service", ["sqs", "lambda", "states", "sns", "events"])
def test_a_target_that_does_not_exist_is_dead_lettered_at_once(cloud: SmallCloud, service: str) -> None:
    dead, dead_arn = cloud.queue(f"missing-{service}-dlq")
    missing = {
        "sqs": "missing", "lambda": "function:missing", "states": "stateMachine:missing", "sns": "missing",
        "events": "event-bus/missing",
    }[service]  # fmt: skip
    arn = f"arn:aws:{service}:{HERE}:{ACCOUNT}:{missing}"
    cloud.rule({"Arn": arn, "DeadLetterConfig": {"Arn": dead_arn}}, EventPattern=matching(f"missing-{service}"))
    put(cloud, f"missing-{service}")
    (message,) = wait_until(lambda: cloud.messages(dead), 3)
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == arn
    assert message["MessageAttributes"]["RETRY_ATTEMPTS"]["StringValue"] == "0"


def test_a_function_is_run_in_the_background_and_tried_three_times(cloud: SmallCloud) -> None:
    seen = cloud.state / "lambda-seen"
    arn = cloud.function("target", ECHO, environment={"SEEN": str(seen)})
    cloud.rule({"Arn": arn}, EventPattern=matching("to-lambda"))
    good = put(cloud, "to-lambda")["EventId"]
    wait_until(lambda: seen.exists() and good in seen.read_text())
    bad = put(cloud, "to-lambda", {"fail": True})["EventId"]
    wait_until(lambda: seen.read_text().split().count(bad) == 3)
    assert seen.read_text().split().count(good) == 1


def test_a_state_machine_a_topic_and_a_log_group_are_targets(cloud: SmallCloud) -> None:
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    machine = cloud.client("stepfunctions").create_state_machine(name="target", definition=definition, roleArn=ROLE)
    topic = cloud.client("sns").create_topic(Name="pages")["TopicArn"]
    url, queue = cloud.queue("pages")
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    cloud.client("logs").create_log_group(logGroupName="/events/all")
    group = f"arn:aws:logs:{HERE}:{ACCOUNT}:log-group:/events/all:*"
    for arn in (machine["stateMachineArn"], topic, group):
        cloud.rule({"Arn": arn}, EventPattern=matching("many"))
    identity = put(cloud, "many")["EventId"]
    assert json.loads(wait_until(lambda: cloud.bodies(url))[0]["Message"])["id"] == identity
    steps, logs = cloud.client("stepfunctions"), cloud.client("logs")
    (execution,) = wait_until(lambda: steps.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"])
    given = steps.describe_execution(executionArn=execution["executionArn"])["input"]
    assert json.loads(given)["id"] == identity
    (line,) = wait_until(lambda: logs.filter_log_events(logGroupName="/events/all")["events"])
    assert json.loads(line["message"])["id"] == identity


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"Input": '{"fixed": 1}'}, {"fixed": 1}),
        ({"InputPath": "$.detail.model"}, "fraud"),
        ({"InputPath": "$['detail-type']"}, "Tested"),
        (
            {"InputTransformer": {
                "InputPathsMap": {"m": "$.detail.model", "r": "$.resources[0]", "d": "$.detail", "gone": "$.detail.no"},
                "InputTemplate": '{"m": <m>, "t": "<m> at <r>", "d": <d>, "r": "<aws.events.rule-name>", "no": <gone>}',
            }},
            {"m": "fraud", "t": "fraud at arn:x", "d": {"model": "fraud", "q": 'a "b"'}, "r": "r", "no": None},
        ),
        ({"InputTransformer": {"InputPathsMap": {"q": "$.detail.q"}, "InputTemplate": '{"q": "<q>"}'}}, {"q": 'a "b"'}),
        ({"InputTransformer": {"InputPathsMap": {"m": "$.detail.model"}, "InputTemplate": '"say <m>"'}}, "say fraud"),
    ],
)  # fmt: skip
def test_a_target_receives_what_its_input_asks_for(target: dict[str, Any], expected: Any) -> None:
    given = event("x", detail={"model": "fraud", "q": 'a "b"'})
    assert json.loads(render(target, given, "arn:rule", "r")) == expected
