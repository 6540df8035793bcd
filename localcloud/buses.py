"""Routes events: from a bus over its rules to targets, across regions too, with retries and dead-letter queues."""

import copy
import heapq
import itertools
import json
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from moto.awslambda.models import lambda_backends
from moto.core.exceptions import ServiceException
from moto.events.models import Rule, events_backends
from moto.logs.models import logs_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.stepfunctions.responses import get_backend as state_machines
from moto.utilities.arns import parse_arn
from werkzeug.exceptions import HTTPException

from localcloud.clock import Clock
from localcloud.outage import Outage
from localcloud.patches import Patches
from localcloud.transformers import render

log = logging.getLogger(__name__)
Event = dict[str, Any]
MAXIMUM_AGE = 86400
MAXIMUM_ATTEMPTS = 185
OUTAGE_RETRY_SECONDS = 1.0
LONGEST_BACKOFF = 30.0


class Functions(Protocol):
    """What the router asks of the functions' runtime."""

    def invoke_later(self, region: str, function: str, payload: bytes) -> None:
        """Run the function in the background."""


class Refused(Exception):
    """The target cannot take events, however often it is tried."""

    def __init__(self, message: str, code: str = "NO_RESOURCE") -> None:
        super().__init__(message)
        self.code = code


Forbids = Callable[[Rule, dict[str, Any]], str | None]


@dataclass(order=True)
class Delivery:
    """One event on its way to one target of one rule."""

    due: float
    number: int
    rule: Rule = field(compare=False)
    target: dict[str, Any] = field(compare=False)
    event: Event = field(compare=False)
    accepted: float = field(compare=False)
    attempts: int = field(compare=False, default=0)

    @property
    def policy(self) -> dict[str, Any]:
        """How long and how often the target is tried."""
        return self.target.get("RetryPolicy") or {}

    @property
    def regions(self) -> set[str]:
        """The regions that must be up for this delivery."""
        return {self.rule.region_name, str(parse_arn(self.target["Arn"]).region)}


class EventRouter:
    """All event buses of both regions."""

    def __init__(
        self, account: str, outage: Outage, clock: Clock, functions: Functions, forbids: Forbids | None = None
    ) -> None:
        """`forbids` says what stands against a delivery (a missing queue policy, a missing role), or None."""
        self._account = account
        self._outage = outage
        self._clock = clock
        self._functions = functions
        self._forbids = forbids
        self._patches = Patches()
        self._waiting: list[Delivery] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._over = False
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="delivery")

    def start(self) -> None:
        """Take over what moto's PutEvents delivers, and begin to deliver."""
        moto_delivers = vars(Rule)["send_to_targets"]

        def send_to_targets(rule: Rule, original_event: Any, transform_input: bool = True) -> None:
            if rule.managed_by or rule.name.startswith("Events-Archive"):
                moto_delivers(rule, original_event, transform_input)
            else:
                self.match(rule, _envelope(original_event))

        self._patches.replace(Rule, "send_to_targets", send_to_targets)
        threading.Thread(target=self._deliver_when_due, name="event deliveries", daemon=True).start()

    def stop(self) -> None:
        """Stop delivering; what is on its way is dropped."""
        self._patches.undo()
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def emit(self, region: str, event: Event, bus: str = "default") -> None:
        """Put a whole event on a bus; its rules deliver in the background."""
        found = events_backends[self._account][region].event_buses.get(bus)
        if found is None:
            log.warning("bus %s does not exist in %s: event %s is dropped", bus, region, event.get("id"))
            return
        for rule in list(found.rules.values()):
            self.match(rule, event)

    def match(self, rule: Rule, event: Event) -> None:
        """Deliver the event to the rule's targets if the rule is enabled and its pattern matches."""
        if rule.state == "ENABLED" and rule.event_pattern.get_pattern() and rule.event_pattern.matches_event(event):  # type: ignore[arg-type]
            self.deliver(rule, event)

    def deliver(self, rule: Rule, event: Event) -> None:
        """Deliver to every target of the rule, whatever its pattern (schedules have none)."""
        for target in list(rule.targets):
            delivery = Delivery(
                time.monotonic(), next(self._numbers), rule, target, copy.deepcopy(event), self._clock.now()
            )
            self._schedule(delivery)

    def _schedule(self, delivery: Delivery) -> None:
        with self._changed:
            heapq.heappush(self._waiting, delivery)
            self._changed.notify()

    def _deliver_when_due(self) -> None:
        while True:
            with self._changed:
                while not self._over and not self._due():
                    self._changed.wait(self._waiting[0].due - time.monotonic() if self._waiting else None)
                if self._over:
                    return
                delivery = heapq.heappop(self._waiting)
                self._pool.submit(self._attempt, delivery)

    def _due(self) -> bool:
        return bool(self._waiting) and self._waiting[0].due <= time.monotonic()

    def _attempt(self, delivery: Delivery) -> None:
        try:
            if any(self._outage.failed(region) for region in delivery.regions):
                self._again(delivery, OUTAGE_RETRY_SECONDS, "REGION_UNAVAILABLE", "the region is unavailable")
                return
            self._hand_over(delivery)
        except Refused as error:
            self._give_up(delivery, error.code, str(error))
        except Exception as error:  # noqa: BLE001 whatever a target raises is retried, then its dead-letter queue's
            delivery.attempts += 1
            backoff = min(0.2 * 2**delivery.attempts, LONGEST_BACKOFF) * random.uniform(0.8, 1.2)
            self._again(delivery, backoff, type(error).__name__, str(error))

    def _again(self, delivery: Delivery, seconds: float, code: str, message: str) -> None:
        age = self._clock.now() - delivery.accepted
        if age >= int(delivery.policy.get("MaximumEventAgeInSeconds", MAXIMUM_AGE)):
            self._give_up(delivery, code, message, "MaximumEventAgeInSeconds")
        elif delivery.attempts > int(delivery.policy.get("MaximumRetryAttempts", MAXIMUM_ATTEMPTS)):
            self._give_up(delivery, code, message, "MaximumRetryAttempts")
        else:
            delivery.due = time.monotonic() + seconds
            self._schedule(delivery)

    def _give_up(self, delivery: Delivery, code: str, message: str, exhausted: str = "") -> None:
        rule, target = delivery.rule, delivery.target
        log.warning("%s could not deliver to %s: %s %s", rule.arn, target["Arn"], code, message)
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        attributes = {
            "RULE_ARN": rule.arn, "TARGET_ARN": target["Arn"], "ERROR_CODE": code, "ERROR_MESSAGE": message or code,
            "RETRY_ATTEMPTS": str(max(delivery.attempts - 1, 0)), "EXHAUSTED_RETRY_CONDITION": exhausted,
        }  # fmt: skip
        if queue:
            self._bury(queue, delivery.event, {name: value for name, value in attributes.items() if value})

    def _bury(self, queue: str, event: Event, attributes: dict[str, str]) -> None:
        try:
            sqs_backends[self._account][parse_arn(queue).region].send_message(
                queue_name=parse_arn(queue).resource_id,
                message_body=json.dumps(event),
                message_attributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
        except Exception:
            log.exception("an event is lost, its dead-letter queue %s takes it not: %s", queue, event)

    def _hand_over(self, delivery: Delivery) -> None:
        rule, target = delivery.rule, delivery.target
        forbidden = self._forbids(rule, target) if self._forbids else None
        if forbidden:
            raise Refused(forbidden, "NO_PERMISSIONS")
        arn = parse_arn(target["Arn"])
        send = getattr(self, f"_to_{arn.service}", None)
        if send is None:
            raise Refused(f"the local cloud does not deliver to {arn.service}")
        body = render(target, delivery.event, rule.arn, rule.name)
        try:
            send(target, arn.region, body, delivery.event)
        except (ServiceException, HTTPException) as error:
            if _gone(error):
                raise Refused(str(error)) from error
            raise

    def _to_events(self, target: dict[str, Any], region: str, _body: str, event: Event) -> None:
        """Another bus receives the event as it is: same id, region, account and resources."""
        name = target["Arn"].rsplit("/", 1)[-1]
        if name not in events_backends[self._account][region].event_buses:
            raise Refused(f"Event bus {name} does not exist in {region}.")
        self.emit(region, event, name)

    def _to_sqs(self, target: dict[str, Any], region: str, body: str, _event: Event) -> None:
        group = (target.get("SqsParameters") or {}).get("MessageGroupId")
        name = target["Arn"].rsplit(":", 1)[-1]
        sqs_backends[self._account][region].send_message(queue_name=name, message_body=body, group_id=group)

    def _to_lambda(self, target: dict[str, Any], region: str, body: str, _event: Event) -> None:
        lambda_backends[self._account][region].get_function(target["Arn"])
        self._functions.invoke_later(region, target["Arn"], body.encode())

    def _to_states(self, target: dict[str, Any], region: str, body: str, event: Event) -> None:
        name = f"{event['id']}_{uuid.uuid4()}"[:80]
        state_machines(self._account, region).start_execution(target["Arn"], name, body)

    def _to_sns(self, target: dict[str, Any], region: str, body: str, _event: Event) -> None:
        sns_backends[self._account][region].publish(body, arn=target["Arn"])

    def _to_logs(self, target: dict[str, Any], region: str, body: str, _event: Event) -> None:
        backend, stream = logs_backends[self._account][region], str(uuid.uuid4())
        group = target["Arn"].split(":log-group:", 1)[1].removesuffix(":*")
        backend.create_log_stream(group, stream)
        backend.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": body}])


def _envelope(event: Any) -> Event:
    """An event as a target sees it, from what moto builds in PutEvents."""
    plain = {key: value for key, value in event.items() if key != "ingestion-time"}
    if not isinstance(plain["time"], str) or plain["time"].replace(".", "", 1).isdigit():
        plain["time"] = datetime.fromtimestamp(float(plain["time"]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return plain


def _gone(error: Exception) -> bool:
    """Does the target not exist?"""
    named = f"{type(error).__name__} {getattr(error, 'error_type', '')} {getattr(error, 'code', '')}"
    return any(word in named for word in ("NotFound", "DoesNotExist", "NonExistent"))
