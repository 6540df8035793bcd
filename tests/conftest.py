"""What every suite may use: a world in memory, wired to the doors, and a Lambda context."""

from types import SimpleNamespace

import pytest

from mldr import wiring
from tests.fakes.world import FakeWorld
from tests.real.servers import mark_gaps, only_served


def pytest_addoption(parser):
    parser.addoption("--servers", default="", help="also run on: radosgw, localstack, dynamodb-local (make test-real)")


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(feature, ...): skipped by name on a server that lacks one of them")
    config.addinivalue_line("markers", "feature(name): the check of a feature; fails where gaps.py says so")


def pytest_collection_modifyitems(config, items):
    only_served(config, items)
    mark_gaps(items)


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
        get_remaining_time_in_millis=lambda: 900_000,
    )
