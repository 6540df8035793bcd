"""Writes what an execution did to its state machine's log group, where moto writes nothing."""

import json
import logging
from datetime import datetime
from importlib import import_module
from typing import Any

from moto.logs.models import logs_backends

log = logging.getLogger(__name__)
LOGGING = "moto.stepfunctions.parser.asl.eval.event.logging"
STREAM = "states/local"
LINES_KEPT = 2000


def write_history(account: str, execution: Any) -> None:
    """Once the execution is over, all its events of the configured level, at once."""
    settings = execution.state_machine.loggingConfiguration
    destinations = [one["cloudWatchLogsLogGroup"]["logGroupArn"] for one in settings.get("destinations") or []]
    if settings.get("level", "OFF") == "OFF" or not destinations:
        return
    group = destinations[0].split(":log-group:", 1)[1].removesuffix(":*")
    backend = logs_backends[account][execution.region_name]
    if group not in backend.groups:
        log.warning("%s: log group %s does not exist", execution.exec_arn, group)
        return
    streams = backend.groups[group].streams
    if STREAM not in streams:
        backend.create_log_stream(group, STREAM)
    lines = _lines(execution, settings)
    if lines:
        backend.put_log_events(group, STREAM, lines)
        del streams[STREAM].events[:-LINES_KEPT]


def _lines(execution: Any, settings: dict[str, Any]) -> list[dict[str, Any]]:
    enabled = import_module(LOGGING).is_logging_enabled_for
    level = import_module("moto.stepfunctions.parser.api").LogLevel[settings["level"]]
    events = [one for one in execution.to_history_output()["events"] if enabled(level, one["type"])]
    return [
        {
            "timestamp": _milliseconds(event),
            "message": json.dumps(_line(execution, event, bool(settings.get("includeExecutionData"))), default=str),
        }
        for event in events
    ]


def _milliseconds(event: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000)


def _line(execution: Any, event: dict[str, Any], with_data: bool) -> dict[str, Any]:
    details: dict[str, Any] = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
    data = ("input", "output", "parameters")
    return {
        "id": str(event["id"]),
        "type": event["type"].value,
        "details": {name: value for name, value in details.items() if with_data or name not in data},
        "previous_event_id": str(event.get("previousEventId", 0)),
        "event_timestamp": str(_milliseconds(event)),
        "execution_arn": execution.exec_arn,
    }
