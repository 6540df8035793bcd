"""Queues feed functions in batches; bad messages end in the dead-letter queue and harm no neighbour."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from moto.sqs.models import sqs_backends

from localcloud.delivery_rights import DeliveryRights
from localcloud.permissions import Permissions
from localcloud.queues import EventSources
from tests.functional.localcloud.small_cloud import ACCOUNT, HERE, SmallCloud, small_cloud, wait_until

SEEN = """
    import json, os, pathlib, time

    def handler(event, context):
        seen = pathlib.Path(os.environ["SEEN"])
        failures = []
        with seen.open("a") as file:
            bodies = [record["body"] for record in event["Records"]]
            file.write(json.dumps({"bodies": bodies, "at": time.time(), "records": event["Records"]}) + "\\n")
        time.sleep(float(os.environ.get("SLEEP", 0)))
        if "crash" in bodies and os.environ.get("CRASH"):
            raise RuntimeError("the whole batch")
        for record in event["Records"]:
            if record["body"].startswith("poison"):
                failures.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failures}
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCloud]:
    with small_cloud(tmp_path_factory.mktemp("state")) as started:
        yield started


class Fed:
    """A queue with a dead-letter queue and a function behind it."""

    def __init__(self, cloud: SmallCloud, name: str, mapping: dict[str, Any], **environment: str) -> None:
        self.cloud = cloud
        self.file = cloud.state / f"{name}-seen"
        cloud.function(name, SEEN, environment={"SEEN": str(self.file), **environment})
        self.dead, dead_arn = cloud.queue(f"{name}-dlq")
        redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
        self.url, arn = cloud.queue(name, VisibilityTimeout="60", RedrivePolicy=redrive)
        self.mapping = cloud.client("lambda").create_event_source_mapping(
            FunctionName=name, EventSourceArn=arn, **mapping
        )["UUID"]

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.cloud.client("sqs").send_message(QueueUrl=self.url, MessageBody=body)

    def batches(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def seen(self) -> list[str]:
        return [body for batch in self.batches() for body in batch["bodies"]]

    def left(self) -> int:
        client = self.cloud.client("sqs")
        attributes = client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return sum(int(attributes[f"ApproximateNumberOfMessages{kind}"]) for kind in ("", "NotVisible"))

    def dead_bodies(self) -> list[str]:
        return [message["Body"] for message in self.cloud.messages(self.dead)]


def test_messages_reach_the_function_with_their_attributes_and_are_deleted(cloud: SmallCloud) -> None:
    fed = Fed(cloud, "plain", {"BatchSize": 10})
    cloud.client("sqs").send_message(
        QueueUrl=fed.url, MessageBody="one", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}}
    )
    wait_until(lambda: fed.seen() == ["one"])
    record = fed.batches()[0]["records"][0]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(":plain")
    assert record["awsRegion"] == HERE
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["a"]["stringValue"] == "b"
    wait_until(lambda: fed.left() == 0)


def test_a_poison_message_reaches_the_dead_letter_queue_and_its_neighbours_are_done_once(cloud: SmallCloud) -> None:
    fed = Fed(cloud, "partial", {
        "BatchSize": 10, "MaximumBatchingWindowInSeconds": 1, "FunctionResponseTypes": ["ReportBatchItemFailures"],
    })  # fmt: skip
    fed.send("good-1", "poison", "good-2")
    wait_until(lambda: len(fed.seen()) == 3)
    assert len(fed.batches()) == 1
    wait_until(lambda: fed.left() == 1)
    cloud.clock.advance(61)
    wait_until(lambda: fed.seen().count("poison") == 2)
    cloud.clock.advance(61)
    wait_until(lambda: fed.left() == 0)
    assert fed.dead_bodies() == ["poison"]
    assert fed.seen().count("good-1") == fed.seen().count("good-2") == 1


def test_without_partial_answers_an_error_keeps_the_whole_batch(cloud: SmallCloud) -> None:
    fed = Fed(cloud, "whole", {"BatchSize": 10, "MaximumBatchingWindowInSeconds": 1}, CRASH="yes")
    fed.send("fine", "crash")
    wait_until(lambda: sorted(fed.seen()) == ["crash", "fine"])
    time.sleep(0.3)
    assert fed.left() == 2
    cloud.clock.advance(61)
    wait_until(lambda: sorted(fed.seen()) == ["crash", "crash", "fine", "fine"])


def test_maximum_concurrency_bounds_the_batches_at_work(cloud: SmallCloud) -> None:
    fed = Fed(cloud, "bounded", {"BatchSize": 1, "ScalingConfig": {"MaximumConcurrency": 2}}, SLEEP="0.5")
    fed.send(*"abcdef")
    wait_until(lambda: len(fed.seen()) == 6)
    times = sorted(batch["at"] for batch in fed.batches())
    assert all(later - earlier > 0.4 for earlier, later in zip(times, times[2:], strict=False))


def test_a_queue_is_not_polled_while_its_region_is_failed_and_nothing_is_lost(cloud: SmallCloud) -> None:
    fed = Fed(cloud, "region", {"BatchSize": 1}, SLEEP="1")
    fed.send("in-hand")
    wait_until(lambda: fed.seen() == ["in-hand"])
    cloud.outage.fail(HERE)
    cloud.clock.advance(61)
    time.sleep(1.5)
    assert fed.seen() == ["in-hand"]
    cloud.outage.heal(HERE)
    wait_until(lambda: fed.seen() == ["in-hand", "in-hand"])
    wait_until(lambda: fed.left() == 0)


def test_a_disabled_mapping_takes_nothing(cloud: SmallCloud) -> None:
    fed = Fed(cloud, "disabled", {"BatchSize": 1, "Enabled": False})
    fed.send("waits")
    time.sleep(1)
    assert fed.seen() == []
    cloud.client("lambda").update_event_source_mapping(UUID=fed.mapping, Enabled=True)
    wait_until(lambda: fed.seen() == ["waits"])


def test_no_message_is_lost_between_threads_that_send_receive_and_delete(cloud: SmallCloud) -> None:
    cloud.queue("crowded")
    backend = sqs_backends[ACCOUNT][HERE]
    taken: list[str] = []

    def send(name: int) -> None:
        for number in range(200):
            backend.send_message("crowded", f"{name}-{number}")

    def take() -> None:
        while len(taken) < 600:
            for message in backend.receive_message("crowded", 10, 1, 30):
                taken.append(message.body)
                backend.delete_message("crowded", str(message.receipt_handle))

    threads = [threading.Thread(target=send, args=(name,)) for name in range(3)]
    threads += [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert len(taken) == len(set(taken)) == 600


def test_a_function_whose_role_may_not_take_from_the_queue_is_not_fed(cloud: SmallCloud) -> None:
    rights = DeliveryRights(ACCOUNT, Permissions(ACCOUNT).role_refusal)
    strict = EventSources(ACCOUNT, cloud.outage, cloud.clock, cloud.runtime, rights.forbids_polling)
    cloud.queues.stop()
    strict.start()
    try:
        fed = Fed(cloud, "guarded", {"BatchSize": 1})
        fed.send("waits")
        time.sleep(1)
        assert fed.seen() == []
        allow = {"Effect": "Allow", "Action": "sqs:*", "Resource": "arn:aws:sqs:*:*:guarded"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        cloud.client("iam").put_role_policy(RoleName="any", PolicyName="take", PolicyDocument=document)
        wait_until(lambda: fed.seen() == ["waits"])
    finally:
        strict.stop()
