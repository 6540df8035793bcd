"""ARC routing controls as data: which one stands for a model in a region, and which endpoints change them.

Both are stack parameters. Nothing is looked up during recovery: DescribeCluster belongs to a control plane in us-west-2
(Source: AWS, "Best practices for Amazon Application Recovery Controller", r53recovery/latest/dg).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mldr.domain.identity import Frozen, ModelKey
from mldr.errors import BadEvent, RoutingRefused

_CONTROL = re.compile(r"(?P<model>[^@=]+)@(?P<region>[a-z0-9-]+)=(?P<arn>arn:[^,\s]+/routingcontrol/[^,\s]+)")
_ENDPOINT = re.compile(r"(?P<region>[a-z0-9-]+)=(?P<url>https?://[^,\s]+)")


class RoutingControl(Frozen):
    """The control that lets traffic of a model into a region."""

    model: ModelKey
    region: str
    arn: str


class ClusterEndpoint(Frozen):
    """One of the five regional data-plane endpoints of a cluster."""

    region: str
    url: str


class ControlState(Frozen):
    """What a control is to be."""

    arn: str
    on: bool


def read_controls(text: str) -> tuple[RoutingControl, ...]:
    """Return the controls of `model@region=ARN,…`. Raises RoutingRefused naming the part that is wrong."""
    return tuple(_control(part) for part in _parts(text))


def read_endpoints(text: str) -> tuple[ClusterEndpoint, ...]:
    """Return the endpoints of `region=URL,…`. Raises RoutingRefused naming the part that is wrong."""
    return tuple(_endpoint(part) for part in _parts(text))


def states_for(model: ModelKey, region: str, controls: Sequence[RoutingControl]) -> tuple[ControlState, ...]:
    """Return the states that send a model's traffic to a region and nowhere else; none where it has no controls.

    Raises RoutingRefused when it has controls, but none of this region: switching all of them off helps nobody.
    """
    own = [control for control in controls if control.model == model]
    if own and region not in {control.region for control in own}:
        raise RoutingRefused(
            f"ArcRoutingControls names controls of {model}, but none in {region}; "
            f"add {model.name}@{region}=<ARN> to the stack's parameter in both regions"
        )
    return tuple(ControlState(arn=control.arn, on=control.region == region) for control in own)


def rotated(endpoints: Sequence[ClusterEndpoint], start: int) -> tuple[ClusterEndpoint, ...]:
    """Return all endpoints, beginning with another one for each start."""
    first = start % len(endpoints) if endpoints else 0
    return (*endpoints[first:], *endpoints[:first])


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _control(part: str) -> RoutingControl:
    found = _CONTROL.fullmatch(part)
    if not found:
        raise RoutingRefused(f"ArcRoutingControls: {part!r} is not <model>@<region>=<routing control ARN>; correct it")
    try:
        model = ModelKey.parse(found["model"])
    except BadEvent as error:
        raise RoutingRefused(f"ArcRoutingControls: {part!r}: {error}") from error
    return RoutingControl(model=model, region=found["region"], arn=found["arn"])


def _endpoint(part: str) -> ClusterEndpoint:
    found = _ENDPOINT.fullmatch(part)
    if not found:
        raise RoutingRefused(f"ArcEndpoints: {part!r} is not <region>=https://…; take them from the cluster's details")
    return ClusterEndpoint(region=found["region"], url=found["url"])
