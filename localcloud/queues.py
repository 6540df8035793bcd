"""Feeds functions from queues in batches, with partial failures; and makes moto's queues thread safe."""

import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import EventSourceMapping, lambda_backends
from moto.sqs import models as sqs
from moto.sqs.models import Message, Queue, SQSBackend, sqs_backends

from localcloud.clock import Clock
from localcloud.lambda_worker import Invocation
from localcloud.outage import Outage
from localcloud.patches import Patches

log = logging.getLogger(__name__)
Forbids = Callable[[str, str], str | None]
CONCURRENT_BATCHES = 4
RECEIVE_AT_MOST = 10


class Functions(Protocol):
    """What queues ask of the functions' runtime."""

    def invoke(self, region: str, function: str, payload: bytes) -> Invocation:
        """Run the function and wait."""


class EventSources:
    """A poller for every enabled mapping of a queue to a function."""

    def __init__(
        self, account: str, outage: Outage, clock: Clock, functions: Functions, forbids: Forbids | None = None
    ) -> None:
        """`forbids` says why a function's role may not take from a queue (both by ARN), or None."""
        self._account = account
        self._forbids = forbids
        self._outage = outage
        self._clock = clock
        self._functions = functions
        self._pollers: dict[str, Poller] = {}
        self._refused: set[str] = set()
        self._over = threading.Event()
        self._patches = Patches()

    def start(self) -> None:
        """Take over from moto's own mappings and poll."""
        _repair_queues(self._patches, self._clock)
        threading.Thread(target=self._watch, name="event sources", daemon=True).start()

    def stop(self) -> None:
        """Stop polling; messages in hand become visible again later."""
        self._over.set()
        for poller in list(self._pollers.values()):
            poller.stop()
        self._patches.undo()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            try:
                self._look_at_mappings()
            except Exception:
                log.exception("the event source mappings could not be looked at")

    def _look_at_mappings(self) -> None:
        mappings = {one.uuid: one for backend in self._backends() for one in _mappings(backend)}
        for gone in self._pollers.keys() - mappings.keys():
            self._pollers.pop(gone).stop()
        for identity, mapping in mappings.items():
            if identity not in self._pollers and ":sqs:" in mapping.event_source_arn:
                self._open(identity, mapping)

    def _open(self, identity: str, mapping: EventSourceMapping) -> None:
        refusal = self._forbids(mapping.function_arn, mapping.event_source_arn) if self._forbids else None
        if refusal and identity not in self._refused:
            log.error("%s is not polled: %s", mapping.event_source_arn, refusal)
            self._refused.add(identity)
        if not refusal and not self._over.is_set():
            self._pollers[identity] = Poller(self._account, mapping, self._outage, self._functions)
            self._pollers[identity].start()

    def _backends(self) -> list[Any]:
        return list(lambda_backends[self._account].values())


class Poller:
    """Takes batches from one queue and gives them to one function."""

    def __init__(self, account: str, mapping: EventSourceMapping, outage: Outage, functions: Functions) -> None:
        self._mapping = mapping
        self._outage = outage
        self._functions = functions
        self._sqs = sqs_backends[account][mapping.region]
        self._queue = mapping.event_source_arn.rsplit(":", 1)[-1]
        concurrency = int((mapping.scaling_config or {}).get("MaximumConcurrency") or CONCURRENT_BATCHES)
        self._free = threading.BoundedSemaphore(concurrency)
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix=f"batch {self._queue}")
        self._over = threading.Event()

    def start(self) -> None:
        """Poll in a thread of its own."""
        threading.Thread(target=self._poll, name=f"poll {self._queue}", daemon=True).start()

    def stop(self) -> None:
        """Take no further batch."""
        self._over.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _poll(self) -> None:
        while not self._over.is_set():
            if self._paused() or not self._message_waits() or not self._free.acquire(timeout=0.5):
                self._over.wait(0.05)
                continue
            try:
                batch = self._batch()
            except Exception:
                log.exception("%s could not be polled", self._queue)
                batch = []
            if batch and not self._over.is_set():
                self._pool.submit(self._process, batch)
            else:
                self._free.release()

    def _message_waits(self) -> bool:
        """Waits a moment for a message to be there; takes none, for the region may fail meanwhile."""
        queue = self._sqs.queues.get(self._queue)
        if queue is None:
            return False
        with queue._messages_lock:
            return queue._messages_lock.wait_for(lambda: bool(queue.messages), timeout=0.5)

    def _paused(self) -> bool:
        return not self._mapping.enabled or self._outage.failed(self._mapping.region)

    def _batch(self) -> list[Message]:
        """Messages up to the batch size; the batching window begins with the first."""
        size, window = int(self._mapping.batch_size or 10), float(self._mapping.max_batch_window or 0)
        batch = self._receive(min(size, RECEIVE_AT_MOST))
        end = time.monotonic() + window
        while batch and len(batch) < size and not self._over.is_set():
            more = self._receive(min(size - len(batch), RECEIVE_AT_MOST))
            if not more and time.monotonic() >= end:
                break
            if not more:
                self._over.wait(0.05)
            batch += more
        return batch

    def _receive(self, count: int) -> list[Message]:
        if self._paused():
            return []
        visibility = int(self._sqs.get_queue(self._queue).visibility_timeout)  # type: ignore[attr-defined]
        return self._sqs.receive_message(self._queue, count, 0, visibility, ["All"])

    def _process(self, batch: list[Message]) -> None:
        try:
            event = {"Records": [_record(message, self._mapping) for message in batch]}
            outcome = self._invoke(json.dumps(event).encode())
            failed = self._failed(outcome, batch)
            if self._outage.failed(self._mapping.region):
                return
            for message in batch:
                if message.id not in failed:
                    self._sqs.delete_message(self._queue, str(message.receipt_handle))
        except LambdaClientError as error:
            log.warning("%s keeps its messages: %s", self._queue, error)
        except Exception:
            log.exception("%s keeps its messages", self._queue)
        finally:
            self._free.release()

    def _invoke(self, payload: bytes) -> Invocation:
        """A throttled function is tried again, as AWS's pollers do, for a part of the visibility timeout."""
        end = time.monotonic() + int(self._sqs.get_queue(self._queue).visibility_timeout) / 2  # type: ignore[attr-defined]
        while True:
            try:
                return self._functions.invoke(self._mapping.region, self._mapping.function_arn, payload)
            except LambdaClientError as error:
                if error.code != 429 or time.monotonic() > end or self._over.wait(0.2):
                    raise

    def _failed(self, outcome: Invocation, batch: list[Message]) -> set[str]:
        """Message ids that stay in the queue: all after an error, and those that a partial answer names."""
        everything = {message.id for message in batch}
        if outcome.error:
            return everything
        if "ReportBatchItemFailures" not in (self._mapping.function_response_types or []):
            return set()
        try:
            failures = (json.loads(outcome.payload) or {}).get("batchItemFailures") or []
            named = {failure["itemIdentifier"] for failure in failures}
        except (ValueError, AttributeError, KeyError, TypeError):
            return everything
        return named if named.issubset(everything) else everything


def _mappings(backend: Any) -> list[EventSourceMapping]:
    return list(backend._event_source_mappings.values())


def _record(message: Message, mapping: EventSourceMapping) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.approximate_receive_count),
            "SentTimestamp": str(message.sent_timestamp),
            "SenderId": message.sender_id,
            "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
        },
        "messageAttributes": {name: _attribute(value) for name, value in message.message_attributes.items()},
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping.event_source_arn,
        "awsRegion": mapping.region,
    }


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "stringValue": value.get("StringValue"),
        "binaryValue": value.get("BinaryValue"),
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }


def _repair_queues(patches: Patches, clock: Clock) -> None:
    """Visibility goes by the local cloud's clock; no message is lost when one thread sends while another deletes."""
    patches.replace(sqs, "unix_time_millis", lambda: clock.now() * 1000)
    patches.replace(sqs, "unix_time", clock.now)
    for name in ("add_message", "delete_message"):
        _lock_queue(patches, name)
    _lock_backend(patches, "change_message_visibility")
    _receive_in_steps(patches)


def _lock_queue(patches: Patches, name: str) -> None:
    """Each change of a queue in one piece; and adding a message does not run moto's own mappings."""
    unsafe = vars(Queue)[name]

    def locked(queue: Queue, *arguments: Any) -> Any:
        with queue._messages_lock:
            mappings, queue.lambda_event_source_mappings = queue.lambda_event_source_mappings, {}
            try:
                return unsafe(queue, *arguments)
            finally:
                queue.lambda_event_source_mappings = mappings

    patches.replace(Queue, name, locked)


def _lock_backend(patches: Patches, name: str) -> None:
    unsafe = vars(SQSBackend)[name]

    def locked(backend: SQSBackend, queue_name: str, *arguments: Any, **named: Any) -> Any:
        with backend.get_queue(queue_name)._messages_lock:
            return unsafe(backend, queue_name, *arguments, **named)

    patches.replace(SQSBackend, name, locked)


def _receive_in_steps(patches: Patches) -> None:
    """Look at the queue under its lock, wait for a message without it."""
    unsafe = vars(SQSBackend)["receive_message"]

    def receive_message(
        backend: SQSBackend, queue_name: str, count: int, wait_seconds_timeout: int, visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Message]:  # fmt: skip
        queue, names = backend.get_queue(queue_name), message_attribute_names
        end = time.monotonic() + int(wait_seconds_timeout or 0)
        while True:
            with queue._messages_lock:
                found: list[Message] = unsafe(backend, queue_name, count, 0, visibility_timeout, names)
            left = end - time.monotonic()
            if found or left <= 0:
                return found
            with queue._messages_lock:
                queue._messages_lock.wait_for(lambda: bool(queue.messages), timeout=min(left, 0.5))

    patches.replace(SQSBackend, "receive_message", receive_message)
