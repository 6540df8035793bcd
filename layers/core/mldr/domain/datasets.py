"""Datasets: what the policy says of them, which of them an object belongs to, and what storage events tell of it."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from pydantic import Field

from mldr.domain.durations import LOCKABLE, Duration
from mldr.domain.identity import Frozen
from mldr.domain.model_rules import Digest, RetentionRule
from mldr.domain.policy_explain import nearest
from mldr.errors import BadEvent

DATASET_NAME = re.compile(r"[a-z0-9](-*[a-z0-9]){0,62}")
# Bytes are locked for twice the period, so that a lock is renewed once a period and not with every snapshot.
LONGEST_KEPT = LOCKABLE / 2
_FOLDER_OR_NONE = r"^$|^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(.*/)?$"
_INVENTORY = "s3://inventories/prefix/bucket/configuration/"


class DatasetRule(Frozen):
    """What the policy says of one dataset."""

    uri: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(.*/)?$", examples=["s3://bucket/prefix/"])
    region: str = Field(default="", examples=["eu-west-1"])  # of the bucket; empty: the first region of the policy
    every: Duration = dt.timedelta(hours=24)
    reconcile: Duration = dt.timedelta(days=7)
    retention: RetentionRule = RetentionRule()
    digest: Digest = Digest.CRC64NVME
    # Where the manifests of an inventory of the bucket are, in a bucket that may be read like the dataset's.
    inventory: str = Field(default="", pattern=_FOLDER_OR_NONE, examples=[_INVENTORY])

    @property
    def bucket(self) -> str:
        """Return the bucket that holds the dataset."""
        return self.uri.removeprefix("s3://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """Return what the keys of its objects begin with."""
        return self.uri.removeprefix("s3://").partition("/")[2]

    def name_of(self, bucket: str, key: str) -> str | None:
        """Return what an object is called inside the dataset, or None when it is not part of it."""
        inside = bucket == self.bucket and key.startswith(self.prefix) and key != self.prefix
        return key[len(self.prefix) :] if inside else None


class ChangeKind(StrEnum):
    """What an event said happened to a key."""

    CREATED = "created"
    DELETED = "deleted"


class Change(Frozen):
    """A storage event: a hint that a key of a dataset is not what it was. The bucket is asked what it is now."""

    dataset: str
    name: str  # the key, relative to the dataset
    kind: ChangeKind
    told_at: dt.datetime  # the event's own time: of another region's clock, never compared with ours
    version_id: str = ""
    sequencer: str = ""

    @property
    def identity(self) -> str:
        """Return a digest that is the same for every delivery of this change."""
        when = self.told_at.isoformat()
        said = "\n".join((self.dataset, self.name, self.kind, self.version_id, self.sequencer, when))
        return hashlib.sha256(said.encode()).hexdigest()[:20]


def need_rule(rules: Mapping[str, DatasetRule], dataset: str) -> DatasetRule:
    """Return what the policy says of a dataset. Raises BadEvent naming the one that was probably meant."""
    if dataset not in rules:
        known = ", ".join(sorted(rules)) or "none"
        hint = nearest(dataset, rules, f"the datasets are {known}; add it under datasets")
        raise BadEvent(f"dataset: {dataset!r} is not a dataset of the policy; {hint}")
    return rules[dataset]


def read_by(uris: Iterable[str], region: str, rules: Mapping[str, DatasetRule]) -> list[str]:
    """Return the datasets of a region that a job reads, whole or in part, by the S3 URIs that it names."""
    read = [uri for uri in uris if uri.startswith("s3://")]
    return sorted(
        name
        for name, rule in rules.items()
        if rule.region == region and any(_overlap(_folder(uri), rule.uri) or uri == rule.uri[:-1] for uri in read)
    )


def _folder(uri: str) -> str:
    """A bucket without a slash after it is the whole bucket."""
    return uri if uri.count("/") > 2 else f"{uri}/"


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
