"""How the active region serves a model right now: what is captured of it, and what the standby needs to do the same.

What CreateModel, CreateEndpointConfig, CreateInferenceComponent and Application Auto Scaling take is kept as they take
it; what only DescribeEndpoint knows (weights and counts that were changed since) is kept beside it, as `live`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection
from enum import StrEnum
from typing import Any

from mldr.domain.components import copies_key, copies_of, counted_component, hosts_components, sole
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.recovery_point import Retention
from mldr.domain.warming import Latency


class Kind(StrEnum):
    """What a region-bound value of the serving state is, and so how it is carried."""

    IMAGE = "image"
    MODEL_DATA = "model-data"  # the vault's copy, of the recovery point that holds it
    MODEL_PACKAGE = "model-package"  # the recovery point that was made of the package
    KMS_KEY = "kms-key"
    ROLE = "role"
    SUBNETS = "subnets"
    SECURITY_GROUPS = "security-groups"
    DESTINATION = "destination"  # a place that the endpoint writes to
    PARAMETER = "parameter"  # of Secrets Manager or SSM: by reference, never its value
    ARN = "arn"
    TEXT = "text"  # a text that names hosts, zones or places: each of them has its counterpart
    REGION = "region"


class Carried(Frozen):
    """One region-bound value: where it stands in the document, what it says, and what stands for it in the standby."""

    path: str  # e.g. Models[0].Containers[0].ModelDataUrl
    kind: Kind
    source: str | tuple[str, ...]
    target: str | tuple[str, ...]
    point: str | None = None  # the recovery point whose copy this is


class Live(Frozen):
    """What a variant has at this moment, whatever its configuration began with."""

    variant: str
    weight: float
    instances: int | None  # None: serverless
    serverless: dict[str, Any] | None = None
    shadow: bool = False


class Observed(Frozen):
    """What the active region says of one endpoint."""

    endpoint: str
    status: str
    document: dict[str, Any] = {}
    live: tuple[Live, ...] = ()
    images: dict[str, str] = {}  # the image that was asked for, and the digest that runs
    latency: Latency | None = None  # of its clients in the last hours, where it is known


class ServingState(Frozen):
    """A captured state, complete: every region-bound value of its document has its counterpart in the standby."""

    schema_version: int = 1
    model: ModelKey
    endpoint: str
    region: str
    standby_region: str
    captured_at: dt.datetime
    reason: str
    epoch: int
    retention: Retention
    document: dict[str, Any]
    live: tuple[Live, ...]
    carried: tuple[Carried, ...]
    left_out: dict[str, str] = {}  # shadow variants that cannot be carried, and why
    component: str = ""  # the inference component that answers for the model, '' where the endpoint's variants do
    latency: Latency | None = None  # what warming compares with

    @property
    def capacity(self) -> dict[str, int]:
        """Return the live instance count of each production variant that has instances."""
        return {one.variant: one.instances for one in self.live if one.instances is not None and not one.shadow}

    def counts_at(self, there: Collection[str], component: str) -> dict[str, int]:
        """Return what it serves with, as an endpoint calls it that was not restored from it.

        A variant is called the same wherever it is restored. A component is not: the one whose copies were captured is
        the one that answers there, `component`, or the only one of what is counted `there`.
        """
        copies = [count for one in self.document.get("Components", []) if (count := copies_of(one)) is not None]
        named = copies_key(component)
        key = named if named in there else sole([one for one in there if counted_component(one)])
        return self.capacity | ({key: max(copies)} if key and copies else {})

    @property
    def answers(self) -> str:
        """Return the component that answers; of a state that is older than that question, the only one."""
        held = [str(one["InferenceComponentName"]) for one in self.document.get("Components", [])]
        return self.component or (held[0] if len(held) == 1 and hosts_components(self.document) else "")

    @property
    def weights(self) -> dict[str, float]:
        """Return the live weight of each production variant."""
        return {one.variant: one.weight for one in self.live if not one.shadow}

    @property
    def points(self) -> tuple[str, ...]:
        """Return the recovery points whose copies it names, each once."""
        return tuple(dict.fromkeys(one.point for one in self.carried if one.point))

    @property
    def digest(self) -> str:
        """Return what identifies the content: when, why, for how long and how fast do not count."""
        said = self.model_dump(mode="json", exclude={"captured_at", "reason", "epoch", "retention", "latency"})
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class Refusal(Frozen):
    """Why the last look at a model's serving state could not be captured; an empty reason: it could."""

    reason: str
    at: dt.datetime


def state_key(model: ModelKey, captured_at: dt.datetime, digest: str) -> str:
    """Return the vault key of a captured state; keys sort by the time of their capture."""
    return f"serving-state/{model.registry}/{model.name}/{captured_at:%Y%m%dT%H%M%S.%fZ}-{digest[:12]}.json"
