"""How far a transfer is, in one line that fits its terminal, and how often a log hears of it."""

import io

import pytest
from rich.console import Console

from cli import progress
from cli.progress import Ticker, sentence, share

GIB = 1024**3


class TestSentence:
    FOUND = {
        "objects": 90_000, "objects_done": 45_000, "bytes": 700 * GIB, "bytes_done": 350 * GIB, "rate": 300 * 1024**2,
        "expected_at": "2026-01-31T12:00:00+00:00", "complete": False,
    }  # fmt: skip

    def test_a_line_never_exceeds_its_width_and_always_says_the_share(self):
        for width in range(4, 200):
            line = sentence(self.FOUND, width)
            assert len(line) <= width
            assert "50%" in line

    def test_the_widest_says_everything(self):
        line = sentence(self.FOUND, 200)
        for piece in ("50%", "350.0 GiB of 700.0 GiB", "45000 of 90000 objects", "300.0 MiB/s", "31 Jan 12:00 UTC"):
            assert piece in line

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"bytes": 0, "bytes_done": 0}, 0.5),
            ({"bytes": 0, "bytes_done": 0, "objects": 0, "objects_done": 0}, 0.0),
            ({"complete": True}, 1.0),
            ({"bytes_done": 800 * GIB}, 1.0),
        ],
    )
    def test_the_share_of_odd_transfers(self, changes, expected):
        assert share({**self.FOUND, **changes}) == expected


class TestTicker:
    def test_a_log_gets_a_line_for_each_step_and_after_a_while(self, monkeypatch):
        now = [1000.0]
        monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
        console = Console(force_terminal=False, width=200, record=True, file=io.StringIO())
        ticker = Ticker(console=console)
        for done in (0, 10, 20, 80, 80):
            ticker.show({**TestSentence.FOUND, "bytes_done": done * 7 * GIB})
        now[0] += 31
        ticker.show({**TestSentence.FOUND, "bytes_done": 80 * 7 * GIB})
        lines = console.export_text().splitlines()
        assert [line.split("%")[0].split()[-1] for line in lines] == ["0", "10", "20", "80", "80"]

    def test_quiet_says_nothing(self):
        console = Console(record=True, file=io.StringIO())
        with Ticker(quiet=True, console=console) as ticker:
            ticker.phase("COPYING")
            ticker.show(TestSentence.FOUND)
        assert console.export_text() == ""
