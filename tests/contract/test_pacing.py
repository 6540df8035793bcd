"""Calls on threads against servers that slow down, break, refuse and recover."""

import itertools
import random
import threading
import time

import pytest

from mldr.aws.pacing import UNREAD, PacedCalls
from mldr.aws.s3_wire import S3Wire
from mldr.domain.pace import PaceLimits
from mldr.errors import MissingArtifact, RegionUnreachable, Throttled
from mldr.sdk import translated
from tests.contract.test_s3_wire import Source, client_of
from tests.scripted_server import ScriptedServer, answer, error

QUICK = PaceLimits(first_delay=0.002, longest_delay=0.02)
# With one call in three refused, some call of 600 runs out of the usual attempts by chance now and then.
PERSISTENT = PaceLimits(first_delay=0.002, longest_delay=0.02, attempts=40)


def copying(server):
    """A copy of one key through S3Wire."""
    wire = S3Wire(client_of(server.url))

    def copy(key):
        with translated(f"copy {key}"):
            return wire.copy_object("vault", key, Source("lake", key)).etag

    return copy


def every(count, said):
    """A script that gives each `count`th request another answer."""
    turn = itertools.count(1)
    return lambda asked: said if next(turn) % count == 0 else answer()


KEYS = [f"objects/{number:04}" for number in range(600)]


@pytest.mark.parametrize(
    "said", [error(503, "SlowDown"), error(500, "InternalError"), error(200, "InternalError"), answer(503, ""), b""]
)
def test_a_storm_on_every_third_call_converges_without_a_flood(said):
    with ScriptedServer(every(3, said)) as server:
        calls = PacedCalls(PERSISTENT)
        copied = dict(calls.each(copying(server), KEYS))
    assert sorted(copied) == KEYS
    assert len(server.asked) <= 2 * len(KEYS)


def test_concurrency_starts_low_drops_at_slow_down_and_recovers():
    flights = []  # calls in flight at each call

    def script(asked):
        flights.append(server.in_flight)
        storm = 400 <= len(flights) < 480
        time.sleep(0.003)
        return error(503, "SlowDown") if storm else answer()

    calls = PacedCalls(PaceLimits(ceiling=16, start=2, first_delay=0.005, longest_delay=0.05, attempts=100))
    with ScriptedServer(script) as server:
        assert len(list(calls.each(copying(server), KEYS + [f"{key}-again" for key in KEYS]))) == 1200
    assert max(flights[:4]) <= 3
    assert max(flights[300:400]) > 10
    assert max(flights[440:480]) <= 4
    assert max(flights[-400:]) > 10
    assert max(flights) <= 16


def test_a_server_that_always_refuses_ends_in_throttled_after_a_bounded_number_of_calls():
    with ScriptedServer(lambda asked: error(503, "SlowDown")) as server:
        calls = PacedCalls(PaceLimits(first_delay=0.002, longest_delay=0.01, attempts=6, budget=50))
        with pytest.raises(Throttled, match="objects/"):
            list(calls.each(copying(server), KEYS))
        assert len(server.asked) <= 50 + 4
        assert calls.allowed == 1


def test_a_server_that_always_breaks_ends_in_region_unreachable():
    with ScriptedServer(lambda asked: b"") as server:
        calls = PacedCalls(PaceLimits(first_delay=0.002, longest_delay=0.01, attempts=4))
        with pytest.raises(RegionUnreachable):
            list(calls.each(copying(server), KEYS))
        assert len(server.asked) <= 4 * 4


def test_a_single_call_is_repeated_and_gives_up_in_the_same_way():
    said = iter([error(503, "SlowDown"), b"", answer()])
    slept = []
    with ScriptedServer(lambda asked: next(said)) as server:
        calls = PacedCalls(PaceLimits(attempts=3), sleep=slept.append, chance=lambda: 0.5)
        assert calls.once(lambda: copying(server)("k")) == "9b2cf535"
    assert slept == [0.05, 0.1]
    with ScriptedServer(lambda asked: error(503, "SlowDown")) as server:
        with pytest.raises(Throttled):
            calls.once(lambda: copying(server)("k"))
        assert len(server.asked) == 3


def test_what_cannot_be_repeated_is_raised_at_once_and_nothing_more_is_started():
    asked = []

    def work(item):
        asked.append(item)
        if item == 10:
            raise MissingArtifact("object 10 is gone")
        time.sleep(0.001)
        return item

    with pytest.raises(MissingArtifact, match="object 10"):
        list(PacedCalls().each(work, range(10_000)))
    assert asked.count(10) == 1
    assert len(asked) < 60


def test_errors_of_botocore_are_repeated_like_ours():
    with ScriptedServer(every(3, error(503, "SlowDown"))) as server:
        wire = S3Wire(client_of(server.url))
        work = lambda key: wire.copy_object("vault", key, Source("lake", key))  # noqa: E731 - said once, used by each
        assert len(list(PacedCalls(QUICK).each(work, KEYS[:50]))) == 50


def test_a_source_of_items_that_fails_is_heard():
    def items():
        yield 1
        raise MissingArtifact("the list is gone")

    with pytest.raises(MissingArtifact, match="list"):
        list(PacedCalls().each(lambda item: item, items()))


def test_nothing_to_do_is_done():
    assert list(PacedCalls().each(lambda item: item, [])) == []


def test_a_reader_that_leaves_stops_the_threads():
    started = []
    run = PacedCalls().each(started.append, itertools.count())
    next(run)
    run.close()
    count = len(started)
    time.sleep(0.05)
    assert len(started) == count
    assert not [thread for thread in threading.enumerate() if thread.name == "paced"]


def test_a_slow_reader_holds_the_work_back():
    started = []
    calls = PacedCalls()
    run = calls.each(started.append, range(20_000))
    next(run)
    count = 0
    while count != len(started):
        count = len(started)
        time.sleep(0.3)
    assert count < 2 * UNREAD + 100
    assert 1 + sum(1 for _ in run) == 20_000


def test_any_order_of_refusals_breaks_and_answers_does_every_item_once():
    chance = random.Random(7)
    moods = [error(503, "SlowDown"), b"", *[answer()] * 8]
    for _ in range(5):
        with ScriptedServer(lambda asked: chance.choice(moods)) as server:
            done = [key for key, _ in PacedCalls(QUICK).each(copying(server), KEYS[:200])]
        assert sorted(done) == KEYS[:200]
