"""The real servers that --servers names: each is started when the first test asks for it, and stopped at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localcloud.real.dynamodb_local import DynamoDbLocal
from localcloud.real.install import python_3_13
from localcloud.real.localstack_s3 import LocalStackS3
from localcloud.real.processes import NotHere
from localcloud.real.radosgw import Radosgw
from tests.real.gaps import GAPS

KINDS: dict[str, Any] = {"radosgw": Radosgw, "localstack": LocalStackS3, "dynamodb-local": DynamoDbLocal}
SERVICES = {"s3": ("radosgw", "localstack"), "dynamodb": ("dynamodb-local",)}
STANDBY = "ap-southeast-3"
SESSION: Any = boto3.Session()
RUNNING = pytest.StashKey[dict[str, Any]]()


def named(config: pytest.Config, service: str | None) -> list[str]:
    """The servers of one service that --servers names."""
    asked = [name for name in config.getoption("--servers").split(",") if name]
    unknown = set(asked) - set(KINDS)
    if unknown:
        raise pytest.UsageError(f"--servers knows {', '.join(KINDS)}, not {', '.join(sorted(unknown))}")
    return [name for name in asked if service and name in SERVICES[service]]


def parametrise(metafunc: pytest.Metafunc, service: str | None) -> None:
    """Run what stands on `cloud` on moto and the servers, and what stands on `backend` in memory, too."""
    clouds = ["moto", *named(metafunc.config, service)]
    if "cloud" in metafunc.fixturenames:
        metafunc.parametrize("cloud", clouds, indirect=True)
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", ["memory", *clouds], indirect=True)


def only_served(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --servers, leave out what no server has to do with."""
    if not config.getoption("--servers"):
        return
    left_out = [item for item in items if not (on(item) or "real" in item.path.parts)]
    items[:] = [item for item in items if item not in set(left_out)]
    config.hook.pytest_deselected(items=left_out)


def on(item: pytest.Item) -> str | None:
    """What a test runs on: memory, moto or a server's name; None when it does not stand on `cloud` or `backend`."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return params.get("cloud", params.get("backend"))


def mark_gaps(items: list[pytest.Item]) -> None:
    """Skip, by name, what needs a feature that its server lacks; and expect that feature's own check to fail there."""
    for item in items:
        server = on(item)
        for mark in item.iter_markers():
            for gap in [(server, name) for name in mark.args if mark.name in ("needs", "feature")]:
                if gap in GAPS and mark.name == "needs":
                    item.add_marker(pytest.mark.skip(f"{server} lacks {gap[1]}: {GAPS[gap]}"))
                elif gap in GAPS:
                    # Strict: a gap that has been closed fails here, so the table cannot rot.
                    item.add_marker(pytest.mark.xfail(reason=f"{server} lacks {gap[1]}: {GAPS[gap]}", strict=True))


def account(request: pytest.FixtureRequest, name: str) -> Account:
    """An empty account on moto or on the server of that name."""
    if name == "moto":
        return request.getfixturevalue("moto")
    return OnServer(name, running(request.config, name))


def running(config: pytest.Config, name: str) -> Any:
    """The server of that name; skips by name where this machine cannot have it."""
    servers = config.stash.setdefault(RUNNING, {})
    if name not in servers:
        if name == "localstack":
            try:
                python_3_13()
            except NotHere as absent:
                pytest.skip(f"localstack: {absent}")
        stack = ExitStack()
        config.add_cleanup(stack.close)
        servers[name] = stack.enter_context(KINDS[name].started())
    return servers[name]


class Account(ABC):
    """An empty account somewhere: what the suites ask of it, wherever it is."""

    name: str

    @abstractmethod
    def client(self, service: str, region: str = STANDBY) -> Any:
        """The client of a region, always the same one."""

    def bucket(self, name: str, region: str = STANDBY, *, locked: bool = False, versioned: bool = True) -> str:
        """A new bucket."""
        s3 = self.client("s3", region)
        place: Any = {"LocationConstraint": region}
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=locked)
        if versioned and not locked:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name


class OnServer(Account):
    """An empty account on a real server."""

    def __init__(self, name: str, server: Any) -> None:
        self.name, self._server, self._access = name, server, server.fresh_access()
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = STANDBY) -> Any:
        """A client without retries, always the same one."""
        if (service, region) not in self._clients:
            self._clients[service, region] = self.new_client(service, region)
        return self._clients[service, region]

    def new_client(self, service: str, region: str = STANDBY, **config: Any) -> Any:
        """A client of its own, without retries unless `config` says so."""
        return SESSION.client(
            service,
            region_name=region,
            endpoint_url=self._server.endpoint_url,
            aws_access_key_id=self._access.access_key,
            aws_secret_access_key=self._access.secret_key,
            config=Config(**{"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}, **config}),
        )

    def key(self) -> str:
        """A KMS key that the server encrypts with."""
        return str(self._server.key_id)

    def put_without_checksum(self, bucket: str, key: str, body: bytes, **more: Any) -> str:
        """Store an object as S3 keeps one that was uploaded before it computed checksums."""
        plain = self.new_client("s3", request_checksum_calculation="when_required")
        return str(plain.put_object(Bucket=bucket, Key=key, Body=body, **more)["VersionId"])
