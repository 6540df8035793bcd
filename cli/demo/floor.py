"""What a recovery cannot take less than, with the parameters that the demo runs with, and how near it came."""

from __future__ import annotations

from mldr.domain.identity import Frozen


class Times(Frozen):
    """What was configured: seconds between checks and rounds, how many count, seconds a DNS answer lives."""

    check_interval: int
    check_threshold: int
    round_interval: int
    rounds: int
    ttl: int


class Floor(Frozen):
    """The parts of the floor in seconds, their sum, and the recovery as a multiple of it.

    `switch` is what Route 53's checkers may take to see that the standby took over: one look is enough, and each of
    them looks once per interval. It is no part of `seconds`, but no client is sent there before: `with_switch` is the
    recovery as a multiple of both. Where both regions answer, nothing has to start and no switch to be seen: it is 0.
    """

    detection: float
    ttl: float
    endpoint_start: float
    switch: float
    seconds: float
    ratio: float | None
    with_switch: float | None


def floor_of(times: Times, endpoint_start: float, rto: float | None, *, both: bool = False) -> Floor:
    """Return the floor of one model.

    Checkers need `threshold` checks to call the region down, and the watch then as many rounds in a row as the policy
    wants, of which the first may come at once. Where both regions answer, nobody waits for more than the checkers.
    """
    checked = float(times.check_interval * times.check_threshold)
    detection = checked if both else checked + times.round_interval * (times.rounds - 1)
    seconds = detection + times.ttl + (0.0 if both else endpoint_start)
    switch = 0.0 if both else float(times.check_interval)
    return Floor(
        detection=detection,
        ttl=float(times.ttl),
        endpoint_start=0.0 if both else endpoint_start,
        switch=switch,
        seconds=round(seconds, 3),
        ratio=None if rto is None else round(rto / seconds, 2),
        with_switch=None if rto is None else round(rto / (seconds + switch), 2),
    )
