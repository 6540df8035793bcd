"""What every suite may use: a world in memory, wired to the doors, and a Lambda context."""

from types import SimpleNamespace

import pytest

from mldr import wiring
from tests.fakes.world import FakeWorld


@pytest.fixture
def world(monkeypatch):
    made = FakeWorld()
    monkeypatch.setattr(wiring, "world", lambda: made)
    return made


@pytest.fixture
def context():
    return SimpleNamespace(
        function_name="door",
        memory_limit_in_mb=256,
        invoked_function_arn="arn:aws:lambda:ap-southeast-3:123456789012:function:door",
        aws_request_id="request-1",
        get_remaining_time_in_millis=lambda: 60_000,
    )
