"""Fires the schedule rules of both regions by the local cloud's clock."""

import calendar
import logging
import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.events.models import EventsBackend, Rule, events_backends

from localcloud.buses import EventRouter
from localcloud.clock import Clock
from localcloud.outage import Outage
from localcloud.patches import Patches

log = logging.getLogger(__name__)
RATE = re.compile(r"rate\((?:1 (minute|hour|day)|([2-9]|[1-9]\d+) (minute|hour|day)s)\)")
CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
MONTHS = {name: number for number, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}
WEEKDAYS = {name: number for number, name in enumerate("SUN MON TUE WED THU FRI SAT".split(), 1)}
LOOK_AHEAD_DAYS = 366 * 8
When = Callable[[float], float | None]


class BadSchedule(ValueError):
    """A schedule expression that EventBridge refuses."""


def next_time(expression: str) -> When:
    """For a rate() or cron() expression: the time at which it fires next after a given one."""
    if rate := RATE.fullmatch(expression):
        period = int(rate[2] or 1) * UNIT_SECONDS[rate[1] or rate[3]]
        return lambda after: after + period
    if cron := CRON.fullmatch(expression):
        return Cron(*cron.groups()).after
    raise BadSchedule(f"Parameter ScheduleExpression is not valid: {expression}")


class Cron:
    """An EventBridge cron expression: minutes, hours, day of month, month, day of week, year; in UTC."""

    def __init__(self, minutes: str, hours: str, days: str, months: str, weekdays: str, years: str) -> None:
        if (days == "?") is (weekdays == "?"):
            raise BadSchedule("exactly one of day of month and day of week must be ?")
        self._minutes = sorted(_numbers(minutes, 0, 59))
        self._hours = sorted(_numbers(hours, 0, 23))
        self._months = _numbers(months, 1, 12, MONTHS)
        self._years = _numbers(years, 1970, 2199)
        self._on = _day_of_month(days) if weekdays == "?" else _day_of_week(weekdays)

    def after(self, moment: float) -> float | None:
        """The first time after the moment; None if there is none in the years to come."""
        start = datetime.fromtimestamp(moment, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for offset in range(LOOK_AHEAD_DAYS):
            day = start.date() + timedelta(days=offset)
            if day.month in self._months and day.year in self._years and self._on(day):
                found = self._within(day, start)
                if found:
                    return found.timestamp()
        return None

    def _within(self, day: date, start: datetime) -> datetime | None:
        moments = (
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
            for hour in self._hours
            for minute in self._minutes
        )
        return next((moment for moment in moments if moment >= start), None)


class Schedules:
    """Every enabled schedule rule; one firing per rule however far the clock was pushed."""

    def __init__(self, account: str, outage: Outage, clock: Clock, router: EventRouter) -> None:
        self._account = account
        self._outage = outage
        self._clock = clock
        self._router = router
        self._due: dict[tuple[str, str], float | None] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._patches = Patches()
        clock.subscribe(self._tick)

    def start(self) -> None:
        """Begin to watch the rules."""
        put_rule = vars(EventsBackend)["put_rule"]

        def checked(backend: EventsBackend, *arguments: Any, **named: Any) -> Rule:
            expression = named.get("scheduled_expression")
            if expression:
                _refuse_bad(expression)
            rule: Rule = put_rule(backend, *arguments, **named)
            return rule

        self._patches.replace(EventsBackend, "put_rule", checked)
        threading.Thread(target=self._run, name="schedules", daemon=True).start()

    def stop(self) -> None:
        """No schedule fires any more."""
        self._over.set()
        self._patches.undo()

    def _run(self) -> None:
        while not self._over.wait(0.25):
            try:
                self._tick()
            except Exception:
                log.exception("the schedules could not be looked at")

    def _tick(self) -> None:
        if self._over.is_set():
            return
        with self._lock:
            rules = [rule for rule in self._rules() if rule.scheduled_expression and rule.state == "ENABLED"]
            now = self._clock.now()
            for rule in rules:
                self._fire_when_due(rule, now)
            present = {(rule.arn, str(rule.scheduled_expression)) for rule in rules}
            self._due = {key: due for key, due in self._due.items() if key in present}

    def _rules(self) -> list[Rule]:
        backends = list(events_backends[self._account].values())
        return [rule for backend in backends for rule in list(backend.event_buses["default"].rules.values())]

    def _fire_when_due(self, rule: Rule, now: float) -> None:
        key, upcoming = (rule.arn, str(rule.scheduled_expression)), next_time(str(rule.scheduled_expression))
        if key not in self._due:
            self._due[key] = upcoming(now)
        due = self._due[key]
        if due is None or due > now:
            return
        self._due[key] = upcoming(now)
        if not self._outage.failed(rule.region_name):
            self._router.deliver(rule, _scheduled_event(rule, due))


def _refuse_bad(expression: str) -> None:
    try:
        next_time(expression)
    except BadSchedule as error:
        raise JsonRESTError("ValidationException", "Parameter ScheduleExpression is not valid.") from error


def _scheduled_event(rule: Rule, due: float) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": rule.account_id,
        "time": datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": rule.region_name,
        "resources": [rule.arn],
        "detail": {},
    }


def _numbers(text: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The values of one field: *, 5, 1-5, 0/15, MON-FRI, and lists of these."""
    found: set[int] = set()
    for part in text.upper().split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        try:
            start = low if first == "*" else (names or {}).get(first) or int(first)
            single = start if not step else high
            end = high if first == "*" else ((names or {}).get(last) or int(last)) if last else single
            values = set(range(start, end + 1, int(step or 1)))
        except ValueError as error:
            raise BadSchedule(f"{text} is no list of values") from error
        found |= values
    if not found or min(found) < low or max(found) > high:
        raise BadSchedule(f"{text} is not between {low} and {high}")
    return found


def _last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _day_of_month(text: str) -> Callable[[date], bool]:
    if text == "L":
        return lambda day: day.day == _last_day(day)
    if text.endswith("W"):
        wanted = next(iter(_numbers(text[:-1], 1, 31)))
        return lambda day: day.day == _nearest_weekday(day, wanted)
    days = _numbers(text, 1, 31)
    return lambda day: day.day in days


def _nearest_weekday(day: date, wanted: int) -> int:
    target = day.replace(day=min(wanted, _last_day(day)))
    shift = {5: -1, 6: 1}.get(target.weekday(), 0)
    if not 1 <= target.day + shift <= _last_day(day):
        shift = {5: 2, 6: -2}[target.weekday()]
    return target.day + shift


def _day_of_week(text: str) -> Callable[[date], bool]:
    if "#" in text:
        name, _, nth = text.partition("#")
        (weekday,), wanted = _numbers(name, 1, 7, WEEKDAYS), int(nth)
        return lambda day: _weekday(day) == weekday and (day.day - 1) // 7 + 1 == wanted
    if text.endswith("L"):
        (weekday,) = _numbers(text[:-1] or "7", 1, 7, WEEKDAYS)
        return lambda day: _weekday(day) == weekday and day.day + 7 > _last_day(day)
    weekdays = _numbers(text, 1, 7, WEEKDAYS)
    return lambda day: _weekday(day) in weekdays


def _weekday(day: date) -> int:
    """EventBridge counts from Sunday, which is 1."""
    return (day.weekday() + 1) % 7 + 1
