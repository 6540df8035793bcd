"""Checks that go straight to a server: on moto with the local cloud's repairs, and on what --servers names."""

from tests.contract.conftest import cloud, moto
from tests.real import servers

__all__ = ["cloud", "moto"]


def pytest_generate_tests(metafunc):
    servers.parametrise(metafunc, metafunc.module.SERVICE if hasattr(metafunc.module, "SERVICE") else None)
