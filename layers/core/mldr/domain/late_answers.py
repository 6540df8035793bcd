"""Endpoints that take a request and answer later, into a bucket: what is waited for, how long, and from where."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

from mldr.domain.identity import Frozen

PARAMETER = "AnswerPlaces"
# A bucket or a folder of one, as IAM is told it: one slash more, and the stack may read nothing there.
PLACE = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/,*?$\s]+)*"
LATEST = dt.timedelta(
    minutes=15
)  # SageMaker gives up a request that is processed for longer, unless it is told to wait


class Sent(Frozen):
    """A request that was taken: where its answer will be, or why there is none, and since when it is waited for."""

    endpoint: str
    output: str
    failure: str = ""
    at: dt.datetime

    def over(self, now: dt.datetime) -> bool:
        """Return whether no answer is waited for any more. A clock that was set back ends no waiting."""
        return now - self.at > LATEST


def unread(targets: Iterable[str], places: str) -> list[str]:
    """Return which S3 URIs this region's stack may not read; `places` are the parameter's, `bucket` or `bucket/prefix`,
    separated by commas. What is written otherwise names no place.
    """
    named = [f"s3://{one.strip()}/" for one in places.split(",") if re.fullmatch(PLACE, one.strip())]
    return [uri for uri in targets if not f"{uri.rstrip('/')}/".startswith(tuple(named))]
