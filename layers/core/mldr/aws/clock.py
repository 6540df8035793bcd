"""The system's clock."""

import datetime as dt


class SystemClock:
    """Needs nothing."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)
