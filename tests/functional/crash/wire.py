"""The wire between the functions and the world: records every call, and can be cut before or after any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore import xform_name
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from localcloud.patches import Patches
from mldr.aws.s3_wire import S3Wire

READS = ("Get", "Head", "List", "Describe", "Query", "GET", "TXT", "CNAME")

# What the functions ask of S3 without boto3.
OWN_CALLS = (
    "CopyObject",
    "UploadPartCopy",
    "HeadObject",
    "GetObject",
    "PutObject",
    "PutObjectRetention",
    "ListObjectVersions",
    "GetBucketVersioning",
)


class Died(BaseException):
    """The function's process is gone: no `except Exception` of its own may see this."""


@dataclass(frozen=True)
class Call:
    """One call of a function. `turn` counts the function invocations, `first` says that it opens one."""

    number: int
    region: str
    turn: int
    first: bool
    door: str
    service: str
    operation: str

    def __str__(self) -> str:
        return f"call {self.number} ({self.service}.{self.operation} of {self.door})"


@dataclass(frozen=True)
class Cut:
    """Where the process dies."""

    call: Call
    before: bool = False

    def __str__(self) -> str:
        return f"died {'before' if self.before else 'after'} {self.call}"


@dataclass
class Wire:
    """What every function's calls go over while `door` names it; calls of the tests themselves pass unseen."""

    calls: list[Call] = field(default_factory=list)
    puts: list[dict[str, Any]] = field(default_factory=list)
    cut: Cut | None = None
    refuses: Callable[[Call, str, dict[str, Any]], bool] | None = None
    seen: Callable[[], None] | None = None
    door: str = ""
    dead: bool = False
    turn: int = 0
    _patches: Patches = field(default_factory=Patches)

    def install(self) -> None:
        """Stand between botocore and moto."""

        def make(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            service, region = client.meta.service_model.service_name, client.meta.region_name
            return self.cross(service, operation, lambda: original(client, operation, parameters), region, parameters)

        original = self._patches.replace(BaseClient, "_make_api_call", make)
        for operation in OWN_CALLS:
            self._install(operation)

    def _install(self, operation: str) -> None:
        def make(wire: S3Wire, *given: Any, **options: Any) -> Any:
            copied = {"CopySource": given[2]} if "Copy" in operation else {}
            region = wire._client.meta.region_name
            return self.cross("s3", operation, lambda: original(wire, *given, **options), region, copied)

        original = self._patches.replace(S3Wire, xform_name(operation), make)

    def remove(self) -> None:
        """Leave botocore as it was."""
        self._patches.undo()

    def clear(self) -> None:
        """Forget everything: a new case begins."""
        self.calls, self.puts, self.cut, self.refuses, self.seen = [], [], None, None, None
        self.door, self.dead, self.turn = "", False, 0

    def open(self, door: str) -> None:
        """A function begins."""
        self.door, self.dead = door, False
        self.turn += 1

    def close(self) -> None:
        """A function ended, one way or the other."""
        self.door = ""

    def cross(
        self,
        service: str,
        operation: str,
        act: Callable[[], Any],
        region: str = "",
        given: dict[str, Any] | None = None,
    ) -> Any:
        """Make one call, unless the process is dead or dies here."""
        if not self.door:
            return act()
        if self.dead:
            raise Died
        first = not self.calls or self.calls[-1].turn != self.turn
        call = Call(len(self.calls) + 1, region, self.turn, first, self.door, service, operation)
        self.calls.append(call)
        self._die(call, before=True)
        if self.refuses and self.refuses(call, region, given or {}):
            raise ClientError(_DOWN, operation)
        try:
            answer = act()
            if operation == "PutEvents":
                self.puts += (given or {})["Entries"]
        finally:
            self._die(call, before=False)
        if not operation.startswith(READS):
            self._look()
        return answer

    def _die(self, call: Call, *, before: bool) -> None:
        if self.cut and (self.cut.call.number, self.cut.before) == (call.number, before):
            self.dead = True
            raise Died

    def _look(self) -> None:
        if self.seen:
            door, self.door = self.door, ""
            self.seen()
            self.door = door


_DOWN: Any = {
    "Error": {"Code": "ServiceUnavailable", "Message": "the region does not answer"},
    "ResponseMetadata": {"HTTPStatusCode": 503},
}
