"""Queues of the tests' own: what the bus and the pages say, kept in the order of arrival."""

import json
from typing import Any

from tests.e2e.cloud import STANDBY, LocalCloud, wait_for


class Inbox:
    """A queue that something delivers to, and everything that has arrived so far."""

    def __init__(self, cloud: LocalCloud, name: str, service: str) -> None:
        self._cloud = cloud
        self._url = cloud.aws("sqs").create_queue(QueueName=name)["QueueUrl"]
        attributes = cloud.aws("sqs").get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        self.arn = attributes["Attributes"]["QueueArn"]
        allowed = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**allowed, "Resource": self.arn}]}
        cloud.aws("sqs").set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": json.dumps(policy)})
        self._heard: list[dict[str, Any]] = []

    def heard(self) -> list[dict[str, Any]]:
        """Everything that has arrived."""
        sqs = self._cloud.aws("sqs")
        while messages := sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._heard.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return self._heard


class Events(Inbox):
    """Every event of mldr on the standby's bus, heard through a rule of the tests' own."""

    def __init__(self, cloud: LocalCloud) -> None:
        super().__init__(cloud, "e2e-events", "events.amazonaws.com")
        events, bus = cloud.aws("events"), cloud.outputs(STANDBY)["BusName"]
        events.put_rule(Name="e2e", EventBusName=bus, EventPattern=json.dumps({"source": ["mldr"]}))
        events.put_targets(Rule="e2e", EventBusName=bus, Targets=[{"Id": "inbox", "Arn": self.arn}])

    def of(self, detail_type: str, model: str) -> list[dict[str, Any]]:
        """The details of one kind of event about one model."""
        wanted = (detail_type, f"sagemaker/{model}")
        heard = self.heard()
        return [event["detail"] for event in heard if (event["detail-type"], event["detail"].get("model")) == wanted]

    def wait(self, detail_type: str, model: str, count: int = 1, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Wait for so many of them."""

        def enough() -> list[dict[str, Any]] | None:
            found = self.of(detail_type, model)
            return found if len(found) >= count else None

        what = f"{count} x {detail_type!r} of {model}"
        found: list[dict[str, Any]] = wait_for(what, enough, seconds, lambda: self._cloud.story(model))
        return found


class Pages(Inbox):
    """What reaches the person on call, through a subscription of the tests' own."""

    def __init__(self, cloud: LocalCloud) -> None:
        super().__init__(cloud, "e2e-pages", "sns.amazonaws.com")
        topic = cloud.outputs(STANDBY)["PagesTopicArn"]
        cloud.aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.arn)

    def about(self, model: str) -> list[dict[str, Any]]:
        """The pages that name a model, each with Subject and Message."""
        return [page for page in self.heard() if f"sagemaker/{model}" in page["Subject"]]

    def wait(self, model: str, words: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait for a page about a model whose subject holds these words."""

        def paged() -> dict[str, Any] | None:
            return next((page for page in self.about(model) if words in page["Subject"]), None)

        found: dict[str, Any] = wait_for(
            f"a page about {model}: {words}", paged, seconds, lambda: self._cloud.story(model)
        )
        return found
