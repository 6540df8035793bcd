"""Calls on threads at the pace that the server bears, repeated within a budget."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from itertools import islice
from typing import Generic, TypeVar

from mldr.domain.pace import Pace, PaceLimits
from mldr.errors import RegionUnreachable, Throttled
from mldr.sdk import translated

T = TypeVar("T")
R = TypeVar("R")

HANDED_OVER = 0.05  # seconds: results are handed over in groups, for waking the reader costs as much as a request
UNREAD = 1000  # results that a slow reader may leave before further calls wait


class PacedCalls:
    """One pace, kept from batch to batch: what it learnt about the server stays. One `each` at a time."""

    def __init__(
        self,
        limits: PaceLimits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._pace, self._changed = Pace(limits or PaceLimits()), threading.Condition()
        self._clock, self._sleep, self._chance = clock, sleep, chance

    @property
    def allowed(self) -> int:
        """Return how many calls may be in flight now."""
        return self._pace.allowed

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield (item, result) as they come, in any order. Raises the first error that is not to be retried.

        Closed early, it starts nothing more and waits for what is in flight.
        """
        most = len(items) if isinstance(items, Sized) else UNREAD
        crew = _Crew(self, self._changed, work, iter(items), most)
        try:
            yield from crew.results()
        finally:
            crew.stop()

    def once(self, call: Callable[[], R]) -> R:
        """Make one call in this thread, with the same retries. Raises Throttled or RegionUnreachable at their end."""
        return self.attempts(call, lambda: True)

    def attempts(self, call: Callable[[], R], turn: Callable[[], bool]) -> R:
        """Make a call until it succeeds or may not be repeated; `turn` says, before each repetition, whether to."""
        attempt = 1
        while True:
            sent = self._clock()
            try:
                with translated("S3"):
                    result = call()
            except (Throttled, RegionUnreachable) as error:
                delay = self._again(error, attempt, sent)
            else:
                with self._changed:
                    self._pace.succeeded()
                return result
            self._sleep(delay)
            if not turn():
                raise Throttled("stopped before a call was made again")
            attempt += 1

    def _again(self, error: Throttled | RegionUnreachable, attempt: int, sent: float) -> float:
        """Return how long to wait before the next attempt, in seconds. Raises the error when there is none."""
        with self._changed:
            if isinstance(error, Throttled):
                self._pace.refused(sent, self._clock())
            if not self._pace.may_retry(attempt):
                raise error
            return self._pace.delay(attempt, self._chance())


class _Crew(Generic[T, R]):
    """The threads of one run: they join as the window grows, and pause while they are more than it allows."""

    def __init__(
        self, calls: PacedCalls, changed: threading.Condition, work: Callable[[T], R], items: Iterator[T], most: int
    ) -> None:
        self._calls, self._changed, self._work, self._items, self._most = calls, changed, work, items, most
        self._one_reads = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._active = self._paused = self._alive = 0  # threads with a call or its delay; without; both
        self._dry = False  # all items are taken
        self._over = False  # nothing new is started
        self._error: BaseException | None = None
        self._done: list[tuple[T, R]] = []
        self._ended = threading.Event()

    def results(self) -> Iterator[tuple[T, R]]:
        with self._changed:
            for _ in range(max(1, min(self._calls.allowed, self._most))):
                self._join()
        ended = False
        while not ended:
            ended = self._ended.wait(HANDED_OVER)
            with self._changed:
                done, self._done = self._done, []
                if len(done) >= UNREAD:
                    self._changed.notify_all()
            yield from done
        if self._error:
            raise self._error

    def stop(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _join(self) -> None:
        self._active += 1
        self._alive += 1
        thread = threading.Thread(target=self._run, daemon=True, name="paced")
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        try:
            while self._turn():
                taken = self._take()
                if not taken:
                    break
                result = self._calls.attempts(partial(self._work, taken[0]), self._turn)
                self._finished(taken[0], result)
        except BaseException as error:  # noqa: BLE001  raised in the reader's thread
            self._fail(error)
        finally:
            self._leave()

    def _take(self) -> list[T]:
        """Return the next item, or none."""
        with self._one_reads:
            taken = list(islice(self._items, 1))
            self._dry = not taken
        return taken

    def _turn(self) -> bool:
        """Wait until this thread may call. Returns False when nothing new is to be started."""
        with self._changed:
            if self._too_many() and not self._over:
                self._pause()
            return not self._over

    def _too_many(self) -> bool:
        return self._active > self._calls.allowed or len(self._done) >= UNREAD

    def _pause(self) -> None:
        self._active -= 1
        self._paused += 1
        self._changed.wait_for(lambda: self._over or (self._active < self._calls.allowed and len(self._done) < UNREAD))
        self._paused -= 1
        self._active += 1

    def _finished(self, item: T, result: R) -> None:
        with self._changed:
            self._done.append((item, result))
            self._grow()

    def _grow(self) -> None:
        if self._over or self._active >= self._calls.allowed:
            return
        if self._paused:
            self._changed.notify()
        elif not self._dry and len(self._threads) < self._most:
            self._join()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._over, self._error = True, self._error or error
            self._changed.notify_all()

    def _leave(self) -> None:
        with self._changed:
            self._active -= 1
            self._alive -= 1
            self._changed.notify_all()
            if not self._alive:
                self._ended.set()
