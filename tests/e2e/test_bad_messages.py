"""Malformed and alien messages end in the dead letter queue that belongs to them; their neighbours are handled."""

import json

from tests.e2e.cloud import STANDBY, key, wait_for

GARBAGE = "{not json"
ALIEN = {
    "version": "0", "id": "alien-1", "source": "aws.s3", "detail-type": "Object Created", "account": "123456789012",
    "time": "2026-01-01T00:00:00Z", "region": "ap-southeast-1", "resources": [], "detail": {"bucket": {"name": "b"}},
}  # fmt: skip
NEIGHBOUR = {
    **ALIEN, "id": "neighbour-1", "source": "mldr", "detail-type": "Model Promoted", "region": STANDBY,
    "detail": {"model": "sagemaker/foreign"},
}  # fmt: skip
RECEIVES = 4


def dead_letters(cloud, queue):
    """The bodies in a dead letter queue, which stay there for the next reader."""
    url = next(one for one in cloud.outputs(STANDBY)["DeadLetterQueueUrls"].split(",") if one.endswith(queue))
    found = []
    while messages := cloud.aws("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in messages]
    return found


def let_it_fail(cloud, queue, bad, timeout):
    """Let the bad messages, and nothing else, be received as often as the queue allows."""
    for _ in range(RECEIVES):
        wait_for(
            f"only the {bad} bad messages are left in {queue}",
            lambda: cloud.waiting(queue) == (0, bad), 60, lambda: f"{cloud.waiting(queue)}\n{cloud.story()}",
        )  # fmt: skip
        cloud.door(f"clock/advance/{timeout + 1}", "POST")
    wait_for(f"{queue} is empty", lambda: cloud.waiting(queue) == (0, 0), 60, cloud.story)


def test_a_bad_promotion_is_kept_for_a_person_and_its_neighbours_are_handled(cloud, failed):
    before = failed("foreign").attempt
    url = cloud.aws("sqs").get_queue_url(QueueName="mldr-prod-capture")["QueueUrl"]
    batch = [GARBAGE, json.dumps(ALIEN), json.dumps(NEIGHBOUR)]
    entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(batch)]
    assert not cloud.aws("sqs").send_message_batch(QueueUrl=url, Entries=entries).get("Failed")
    cloud.tell("Model Promoted", {"model": 7, "marker": "no model"})
    cloud.tell("Model Praised", {"model": "sagemaker/churn", "marker": "nobody's business"})
    assert failed("foreign", attempt=before + 1).attempt == before + 1
    let_it_fail(cloud, "mldr-prod-capture", 3, 360)
    dead = dead_letters(cloud, "capture-dlq")
    assert sorted(body for body in dead if body in batch) == sorted([GARBAGE, json.dumps(ALIEN)])
    assert [json.loads(body)["detail"]["marker"] for body in dead if "marker" in body] == ["no model"]
    assert len(dead) == 3


def test_a_bad_request_for_a_failover_starts_nothing(cloud, protected):
    cloud.tell("Failover Requested", {"model": "sagemaker/liar", "marker": "no reason"})
    let_it_fail(cloud, "mldr-prod-failover", 1, 60)
    dead = dead_letters(cloud, "failover-dlq")
    assert [json.loads(body)["detail"]["marker"] for body in dead] == ["no reason"]
    assert dead_letters(cloud, "undelivered") == []
    assert cloud.catalog.takeover(key("liar")) is None
