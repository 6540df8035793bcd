"""What clients and the peer see: DNS, switches, gateways and their tokens."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from mldr.domain.routing import SwitchKind
from mldr.sdk import AT_ONCE, ONE_OF_FIVE
from mldr.wiring.records import Records

if TYPE_CHECKING:
    from mldr.domain.arc import ClusterEndpoint
    from mldr.ports.outside import Dns, Fronts, Outside, RoutingControls, SwitchSignal, Tokens
    from mldr.steps.know_leader import Leaders


class Edges(Records):
    """Adapters of what clients and the peer see."""

    @cached_property
    def dns(self) -> Dns:
        from mldr.aws.dns import Route53Dns

        return Route53Dns(
            self._client("route53"),
            lambda region: self._client("cloudwatch", region),
            zone=self.env.zone_name,
            transport=self.env.gateway_transport,
            owner=f"{self.env.prefix}-{self.env.aws_region}",
            environment=self.env.environment_name,
        )

    @cached_property
    def switch_signal(self) -> SwitchSignal:
        """The gateway answers the checkers itself; only a metric has to be put."""
        from mldr.aws.switches import GatewaySwitch, MetricSwitch

        return MetricSwitch(self.metrics) if self.env.takeover_switch is SwitchKind.METRIC else GatewaySwitch()

    @cached_property
    def routing_controls(self) -> RoutingControls:
        from mldr.aws.arc import ArcRoutingControls

        def client(endpoint: ClusterEndpoint) -> Any:
            return self._session.create_client(
                "route53-recovery-cluster",
                region_name=endpoint.region,
                endpoint_url=endpoint.url,
                config=ONE_OF_FIVE,
            )

        return ArcRoutingControls(client, controls=self.env.arc_routing_controls, endpoints=self.env.arc_endpoints)

    @cached_property
    def fronts(self) -> Fronts:
        from mldr.aws.fronts import ParameterFronts

        return ParameterFronts(lambda region: self._client("ssm", region), environment=self.env.environment_name)

    @cached_property
    def leaders(self) -> Leaders:
        """What a gateway knows of who serves. A peer that does not answer at once is not waited for."""
        from mldr.aws.fronts import ParameterFronts
        from mldr.steps.know_leader import Leaders

        def ssm(region: str) -> Any:
            return self._session.create_client("ssm", region_name=region, config=AT_ONCE)

        return Leaders(
            region=self.env.aws_region,
            peer_region=self.env.peer_region,
            catalog=self.catalog,
            outside=self.outside,
            fronts=ParameterFronts(ssm, environment=self.env.environment_name),
            clock=self.clock,
        )

    @cached_property
    def outside(self) -> Outside:
        from mldr.aws.outside import PublicNetwork

        return PublicNetwork(
            resolver=self.env.dns_resolver, transport=self.env.gateway_transport, zone=self.env.zone_name
        )

    @cached_property
    def tokens(self) -> Tokens:
        from mldr.aws.tokens import SecretToken

        return SecretToken(self._client("secretsmanager"), name=self.env.gateway_secret)

    @cached_property
    def witness_token(self) -> Tokens:
        """What the witness asks for."""
        from mldr.aws.tokens import SecretToken

        return SecretToken(self._client("secretsmanager"), name=self.env.witness_secret)
