"""Remember answers of a model, so that the other region can give them while its endpoint comes up.

An entry belongs to one version, named by its ARN in the model's home, so both regions name it alike. Each model has a
fixed number of slots and a request always falls into the same one: what collides is overwritten, and nothing has to be
evicted. Of a request only a digest is kept.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict

from mldr.domain.endpoint_status import IN_SERVICE, MISSING
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, Role
from mldr.domain.model_rules import CacheRule
from mldr.domain.recovery_point import Record

LARGEST = 128 * 1024  # bytes of an answer that is kept: one event holds it in base64
LOOKED = dt.timedelta(seconds=5)  # for how long one look at an endpoint counts; SageMaker updates take minutes
BROKEN = (MISSING, "Failed", "OutOfService", "Deleting")
TOGETHER = 180_000  # characters of the entries that cross to the other region in one event


class Grade(StrEnum):
    """What an entry is worth."""

    FRESH = "fresh"
    STALE = "stale"
    OVER = "over"


class Cached(Frozen):
    """One answer. `key` names model, version and request; `body` is base64. What a newer release adds is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: ModelKey
    version: str
    key: str
    slot: int
    endpoint: str
    epoch: int
    asked_at: dt.datetime
    answered_at: dt.datetime
    expires: dt.datetime
    content_type: str
    body: str

    @property
    def content(self) -> bytes:
        """Return the answer as the endpoint gave it."""
        return base64.b64decode(self.body)


class Look(Frozen):
    """What an endpoint is: `contents` are the packages, else images and URIs, of its `models` production models."""

    status: str
    config: str = ""
    contents: frozenset[str] = frozenset()
    models: int = 0
    made_at: dt.datetime | None = None
    changed_at: dt.datetime | None = None


class Sighting(Frozen):
    """What a region last saw serving a model: `version` was in service at `settled_at`, the last look at `seen_at`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    status: str
    seen_at: dt.datetime
    version: str = ""
    settled_at: dt.datetime | None = None
    changed_at: dt.datetime | None = None

    def current(self, endpoint: str, now: dt.datetime) -> bool:
        """Return whether nobody has to look again. A clock that was set back does not hold it up."""
        return self.endpoint == endpoint and abs(now - self.seen_at) < LOOKED

    @property
    def serving(self) -> str:
        """Return the version in service, '' while an update is under way or the version is not known."""
        return self.version if self.status == IN_SERVICE and self.settled_at == self.seen_at else ""


class Restored(Frozen):
    """The endpoint that mldr restored to answer in this region, from which point, and by when it was made."""

    endpoint: str
    recovery_point: str
    by: dt.datetime


class Directives(Frozen):
    """What a client's `cache-control` asks (RFC 9111, 5.2.1)."""

    no_store: bool = False
    no_cache: bool = False

    @classmethod
    def parse(cls, header: str) -> Directives:
        """Read the header; what is unknown is ignored."""
        names = {part.partition("=")[0].strip().lower() for part in header.split(",")}
        return cls(no_store="no-store" in names, no_cache="no-cache" in names)


class _Number(str):
    """A number as it was written: 1 and 1.0 may mean different things to a model."""

    __slots__ = ()


def fingerprint(body: bytes, content_type: str, accept: str) -> str:
    """Return the digest of a request. JSON counts by what it says, anything else by its bytes."""
    kind = content_type.strip().lower()
    said = hashlib.sha256()
    for part in (kind.encode(), accept.strip().lower().encode(), _canonical(body, kind)):
        said.update(len(part).to_bytes(8, "big"))
        said.update(part)
    return said.hexdigest()


def key_of(model: ModelKey, version: str, request: str) -> str:
    """Return the name of an entry."""
    return hashlib.sha256(f"{model}\n{version}\n{request}".encode()).hexdigest()


def slot_of(request: str, entries: int) -> int:
    """Return where a request is kept, whatever the version: a new version's answers replace the old one's."""
    return int(request[:16], 16) % entries


def _canonical(body: bytes, kind: str) -> bytes:
    media = kind.partition(";")[0].strip()
    if media != "application/json" and not media.endswith("+json"):
        return body
    try:
        said = json.loads(
            body, object_pairs_hook=_pairs, parse_int=_Number, parse_float=_Number, parse_constant=_Number
        )
        return _written(said).encode()
    except (ValueError, RecursionError):  # no JSON, or none that all parsers read alike
        return body


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that stands twice is read differently by different parsers")
    return found


def _written(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_written(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(one) for one in value) + "]"
    return json.dumps(value)


def grade(entry: Cached, rule: CacheRule, now: dt.datetime) -> Grade:
    """Return what an entry is worth by the policy in force."""
    age = now - entry.answered_at
    if age < rule.ttl:
        return Grade.FRESH
    return Grade.STALE if age < rule.ttl + rule.serve_stale else Grade.OVER


def age_of(entry: Cached, now: dt.datetime) -> int:
    """Return the age in whole seconds; 0 when the other region's clock is ahead."""
    return max(0, int((now - entry.answered_at).total_seconds()))


def answers(entry: Cached | None, model: ModelKey, version: str, request: str) -> bool:
    """Return whether an entry is this version's answer to this request."""
    return bool(entry and version and entry.key == key_of(model, version, request))


def seen(look: Look, endpoint: str, version: str, now: dt.datetime, before: Sighting | None) -> Sighting:
    """Return what to remember of a look. What served last is not forgotten while nothing does."""
    told = {"endpoint": endpoint, "status": look.status, "seen_at": now, "changed_at": look.changed_at}
    if look.status == IN_SERVICE:
        return Sighting(**told, version=version, settled_at=now)
    if before is None or before.endpoint != endpoint:
        return Sighting(**told)
    return Sighting(**told, version=before.version, settled_at=before.settled_at)


def restored_of(knowledge: Leadership, role: Role) -> Restored | None:
    """Return what mldr restored to answer in this role: for the takeover in force, or beside the home."""
    beside, takeover = knowledge.beside, knowledge.takeover
    if role.beside and beside:
        return Restored(endpoint=beside.endpoint, recovery_point=beside.recovery_point, by=beside.since)
    if takeover is None:
        return None
    return Restored(endpoint=takeover.endpoint, recovery_point=takeover.recovery_point, by=takeover.flipped_at)


def version_of(look: Look, endpoint: str, restored: Restored | None, records: Iterable[Record], home: str) -> str:
    """Return the version that an endpoint in service has, by its ARN in the home's registry; '' when that is not sure.

    Either it was made of one model package; or mldr restored it to answer here, and its configuration is still that.
    An endpoint made of images and URIs says no version: bytes behind a URI change.
    """
    if look.status != IN_SERVICE:
        return ""
    packages = [one for one in look.contents if ":model-package/" in one]
    if packages:
        return at_home(packages[0], records, home) if len(look.contents) == 1 else ""
    if restored is None or restored.endpoint != endpoint or look.config != endpoint or look.models != 1:
        return ""
    if look.made_at is None or look.made_at > restored.by:
        return ""  # another endpoint of the same name
    record = next((one for one in records if one.recovery_point == restored.recovery_point), None)
    return at_home(record.origin.arn, [record], home) if record else ""


def at_home(arn: str, records: Iterable[Record], home: str) -> str:
    """Return the ARN that a version has in the home's registry: mldr registers a version of one region in the other."""
    for record in records:
        pair = (record.origin.arn, record.target_arn or "")
        if arn in pair:
            return next((one for one in pair if one and _region(one) == home), arn)
    return arn


def _region(arn: str) -> str:
    return arn.split(":")[3]


def last_known(sighting: Sighting | None, endpoint: str, rule: CacheRule, now: dt.datetime) -> str:
    """Return the version that served until the endpoint broke, '' while it is being updated or was not seen lately."""
    if sighting is None or sighting.endpoint != endpoint or sighting.settled_at is None:
        return ""
    if sighting.status not in BROKEN:
        return ""
    return sighting.version if now - sighting.settled_at < rule.ttl + rule.serve_stale else ""


def refusal(entry: Cached, *, own: bool, knowledge: Leadership, role: Role, answering: bool, now: dt.datetime) -> str:
    """Return why an entry is not kept, '' if it is. Work of an older epoch is refused (law 7).

    `answering` says whether this region keeps what it answers: as the writer, or beside it and then for itself alone;
    `own` whether the entry comes from this region.
    """
    if now >= entry.expires:
        return "it is too old"
    if entry.epoch < knowledge.epoch:
        return f"it is of epoch {entry.epoch}, and epoch {knowledge.epoch} is known"
    if own and not (answering and entry.epoch == role.epoch):
        return f"this region does not write for epoch {entry.epoch}: {role.reason}"
    if not own and knowledge.takeover and knowledge.takeover.epoch >= entry.epoch:
        return f"this region itself holds epoch {knowledge.takeover.epoch}"
    return ""


def still_serves(entry: Cached, sighting: Sighting) -> str:
    """Return why it is not sure that an entry's version gave the answer, '' if it is.

    The look came after the answer: what is in service and has not changed since before the question gave it.
    """
    if sighting.serving != entry.version:
        return "another version is in service, or an update is under way"
    if sighting.changed_at is None or sighting.changed_at >= entry.asked_at:
        return "the endpoint has changed since it was asked"
    return ""


def bundles(entries: Iterable[Cached]) -> list[list[Cached]]:
    """Return entries in events that are not too large."""
    found: list[list[Cached]] = []
    room = 0
    for entry in entries:
        size = len(entry.model_dump_json())
        if not found or size > room:
            found.append([])
            room = TOGETHER
        found[-1].append(entry)
        room -= size
    return found
