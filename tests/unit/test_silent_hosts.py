"""A region that is gone keeps a round of looks from being decided no longer than a few of them take."""

import datetime as dt
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from mldr.aws.clock import SystemClock
from mldr.domain.health import Observation, Sight
from mldr.steps import silent_hosts
from mldr.steps.silent_hosts import ENOUGH, SilentHosts
from tests.fakes.clock import FakeClock

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


class Gateway:
    """Answers after so many seconds."""

    def __init__(self, clock, seconds, sight=Sight.UNHEALTHY):
        self.clock, self.seconds, self.sight, self.asked = clock, seconds, sight, 0

    def look(self):
        self.asked += 1
        self.clock.move(seconds=self.seconds)
        return Observation(vantage="standby", sight=self.sight, detail="h: TimeoutError")


def looks(gateway, clock, count=10):
    silent = SilentHosts(clock)
    return [silent.look("h", gateway.look) for _ in range(count)]


def test_after_a_few_that_waited_in_vain_the_others_see_the_same_without_waiting():
    clock = FakeClock(NOW)
    gateway = Gateway(clock, 4)
    seen = looks(gateway, clock)
    assert gateway.asked == ENOUGH
    assert {one.sight for one in seen} == {Sight.UNHEALTHY}
    assert seen[-1].detail == "h: TimeoutError; 3 looks of this round waited for h in vain, this one does not"
    assert clock.now() - NOW == dt.timedelta(seconds=12)


def test_who_answers_at_once_is_always_asked_also_with_an_error():
    for seconds, sight in ((0.2, Sight.UNHEALTHY), (0.2, Sight.UNKNOWN), (5, Sight.HEALTHY)):
        clock = FakeClock(NOW)
        gateway = Gateway(clock, seconds, sight)
        looks(gateway, clock)
        assert gateway.asked == 10


def test_an_answer_between_makes_the_count_begin_again():
    clock = FakeClock(NOW)
    silent = SilentHosts(clock)
    lost, well = Gateway(clock, 4), Gateway(clock, 0.1, Sight.HEALTHY)
    for gateway in (lost, lost, well, lost, lost, well):
        silent.look("h", gateway.look)
    assert (lost.asked, well.asked) == (4, 2)


def test_another_host_is_asked_for_itself():
    clock = FakeClock(NOW)
    silent, gateway = SilentHosts(clock), Gateway(clock, 4)
    for number in range(8):
        silent.look(f"h{number}", gateway.look)
    assert gateway.asked == 8


def test_a_thousand_models_of_a_region_that_is_gone_take_a_round_and_not_sixteen(monkeypatch):
    """Sixty-four threads, real time, scaled: a look that waits takes a tenth of a second."""
    monkeypatch.setattr(silent_hosts, "SLOW", dt.timedelta(seconds=0.08))
    silent, lock, asked = SilentHosts(SystemClock()), threading.Lock(), []

    def wait():
        with lock:
            asked.append(1)
        time.sleep(0.1)
        return Observation(vantage="standby", sight=Sight.UNHEALTHY, detail="h: TimeoutError")

    with ThreadPoolExecutor(64) as pool:
        seen = list(pool.map(lambda _: silent.look("h", wait), range(1000)))
    assert len(seen) == 1000
    assert len(asked) <= 64 + ENOUGH
