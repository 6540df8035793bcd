"""Messages with which converging tells itself to look at a model again soon."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from mldr.domain.identity import ModelKey
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class QueuedReminders:
    """Needs sqs:SendMessage on the queue."""

    def __init__(self, sqs: Callable[[], SQSClient], *, queue_url: str) -> None:
        self._sqs, self._url = sqs, queue_url

    def remind(self, model: ModelKey, tries: int, pause: dt.timedelta) -> None:
        detail = {"model": str(model), "tries": tries}
        due = {"id": str(uuid.uuid4()), "source": "mldr", "detail-type": "Tiers Due", "detail": detail}
        with translated("ask for another look at what stands"):
            self._sqs().send_message(
                QueueUrl=self._url, MessageBody=json.dumps(due), DelaySeconds=int(pause.total_seconds())
            )
