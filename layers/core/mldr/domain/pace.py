"""How many requests may be in flight, and how many may be made again: growth with success, a cut at SlowDown.

S3 raises its limits gradually and answers 503 meanwhile
(docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html), so a run starts low and finds the limit, as
TCP does (RFC 5681): one more in flight for each answer until the first refusal, then one more for each full window.
The budget is the token bucket of the SDKs' standard retries
(docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html), at one token a retry and one a success: calls
never exceed twice the items, but for the bucket itself. Times are in seconds; the caller brings clock and chance.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaceLimits:
    """Where a pace starts and what bounds it; delays in seconds."""

    ceiling: int = 32  # requests in flight at the most
    start: int = 4
    attempts: int = 10  # of one call, the first included
    budget: int = 100  # retries ahead of successes
    first_delay: float = 0.1
    longest_delay: float = 5.0


class Pace:
    """What is learnt about a server while it is used. Not thread safe: its keeper holds a lock."""

    def __init__(self, limits: PaceLimits) -> None:
        self._limits = limits
        self._window = float(min(limits.start, limits.ceiling))
        self._tokens = limits.budget
        self._cut_at = float("-inf")
        self._steady = False  # a refusal has told where the limit is

    @property
    def allowed(self) -> int:
        """Return how many requests may be in flight now, at least 1."""
        return int(self._window)

    def succeeded(self) -> None:
        """Count an answer: the window grows, at first with each and later with a full window; one more retry too."""
        step = 1 / self._window if self._steady else 1.0
        self._window = min(self._window + step, float(self._limits.ceiling))
        self._tokens = min(self._tokens + 1, self._limits.budget)

    def refused(self, sent: float, now: float) -> None:
        """Halve the window, unless this request was sent before the last cut: that one has answered it already."""
        if sent >= self._cut_at:
            self._window = max(1.0, self._window / 2)
            self._cut_at, self._steady = now, True

    def may_retry(self, attempt: int) -> bool:
        """Return whether the call that failed for the `attempt`th time is made again; if so, it takes a token."""
        if attempt >= self._limits.attempts or self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def delay(self, attempt: int, chance: float) -> float:
        """Return how long to wait after the `attempt`th failure, in seconds: full jitter; `chance` is in [0, 1)."""
        return chance * min(self._limits.longest_delay, self._limits.first_delay * 2.0 ** (attempt - 1))
