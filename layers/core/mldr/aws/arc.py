"""ARC routing controls: their data plane alone, over whichever of the cluster's five endpoints answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from mldr.domain.arc import ClusterEndpoint, ControlState, read_controls, read_endpoints, rotated, states_for
from mldr.domain.identity import ModelKey
from mldr.errors import RegionUnreachable, RoutingRefused
from mldr.sdk import code

if TYPE_CHECKING:
    from mypy_boto3_route53_recovery_cluster import Route53RecoveryClusterClient

# Another endpoint would say the same: the request is wrong, or the role lacks the right.
FINAL = {"AccessDeniedException", "ResourceNotFoundException", "ValidationException", "ServiceLimitExceededException"}


class ArcRoutingControls:
    """Needs route53-recovery-cluster:UpdateRoutingControlStates on the controls. Safety rules are never overridden."""

    def __init__(
        self,
        client: Callable[[ClusterEndpoint], Route53RecoveryClusterClient],
        *,
        controls: str,
        endpoints: str,
    ) -> None:
        self._client, self._controls, self._endpoints = client, controls, endpoints
        self._turns = count()

    def point(self, model: ModelKey, region: str) -> bool:
        states = states_for(model, region, read_controls(self._controls))
        if not states:
            return False
        refusals: list[str] = []
        endpoints = read_endpoints(self._endpoints)
        for endpoint in rotated(endpoints, next(self._turns)):
            refusal = self._tried(endpoint, states)
            if not refusal:
                return True
            refusals.append(f"{endpoint.region}: {refusal}")
        raise RegionUnreachable(
            f"the routing controls of {model} could not be set by any of {len(endpoints)} endpoints "
            f"({'; '.join(refusals)}); set them by `aws route53-recovery-cluster update-routing-control-states`"
        )

    def _tried(self, endpoint: ClusterEndpoint, states: tuple[ControlState, ...]) -> str:
        """Return why an endpoint did not do it, '' when it did. All states change in one call, or none."""
        entries: Any = [
            {"RoutingControlArn": state.arn, "RoutingControlState": "On" if state.on else "Off"} for state in states
        ]
        try:
            self._client(endpoint).update_routing_control_states(UpdateRoutingControlStateEntries=entries)
        except ClientError as error:
            if code(error) in FINAL:
                raise RoutingRefused(f"ARC refused to set the routing controls: {error}") from error
            return str(error)
        except BotoCoreError as error:
            return str(error)
        return ""
