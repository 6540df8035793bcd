"""The SNS topic that reaches the person on call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class SnsPager:
    """Needs sns:Publish on the topic and kms:GenerateDataKey on its key."""

    def __init__(self, sns: SNSClient, *, topic_arn: str) -> None:
        self._sns, self._topic = sns, topic_arn

    def page(self, subject: str, message: str) -> None:
        with translated("page"):
            # SNS: a subject has at most 100 ASCII characters and no line break.
            self._sns.publish(
                TopicArn=self._topic, Subject=subject.encode("ascii", "replace").decode()[:100], Message=message
            )
