"""The whole local cloud: makes every part, connects them, starts and stops them together."""

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from moto.apigatewayv2.models import apigatewayv2_backends

from localcloud.admin import PREFIX, Admin
from localcloud.buses import EventRouter
from localcloud.calls import CallLog
from localcloud.clock import Clock
from localcloud.delivery_rights import DeliveryRights
from localcloud.deploy.maker import client
from localcloud.deploy.stack import Deployment, Stack
from localcloud.edge.addresses import ACCOUNT, front_addresses
from localcloud.edge.dns_server import DnsServer
from localcloud.edge.endpoints import Endpoints
from localcloud.edge.health_checks import HealthCheckers
from localcloud.edge.http_apis import HttpApis, Route
from localcloud.edge.http_front import HttpFront
from localcloud.edge.zones import Zones
from localcloud.gate import Gate
from localcloud.lambda_runtime import LambdaRuntime
from localcloud.moto_repairs.apigatewayv2 import DomainNameRepairs
from localcloud.moto_repairs.dynamodb import DynamoDBRepairs
from localcloud.moto_repairs.dynamodb_batches import DynamoDBBatches
from localcloud.moto_repairs.dynamodb_expiry import Expiry
from localcloud.moto_repairs.iam import ManagedPolicies
from localcloud.moto_repairs.route53 import Route53Repairs
from localcloud.moto_repairs.s3 import S3Repairs
from localcloud.moto_repairs.s3_batch_operations import BatchOperations
from localcloud.moto_repairs.s3_events import S3Events
from localcloud.moto_repairs.sagemaker import SageMakerRepairs
from localcloud.moto_repairs.sagemaker_endpoints import SageMakerEndpointRepairs
from localcloud.moto_repairs.sagemaker_serving import SageMakerServingRepairs
from localcloud.moto_repairs.scaling_alarms import ScalingAlarmRepairs
from localcloud.moto_repairs.service_quotas import ServiceQuotaRepairs
from localcloud.moto_repairs.stepfunctions import StateMachines
from localcloud.outage import GLOBAL_CONTROL_PLANES, Outage
from localcloud.permissions import Permissions
from localcloud.principals import access_key
from localcloud.queues import EventSources
from localcloud.schedules import Schedules
from localcloud.server import Server, moto_application

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_REGIONS = ("ap-southeast-1", "ap-southeast-3")


@dataclass(frozen=True)
class Options:
    """What a local cloud is started with; port 0 takes a free one."""

    port: int = 4566
    dns_port: int = 5353
    http_port: int = 8080
    regions: tuple[str, ...] = DEFAULT_REGIONS
    witness: str = ""  # a region of its own, whose stack looks at the others' gateways
    parameters: Mapping[str, str] = field(default_factory=dict)
    policy: Path | None = None
    template: Path = ROOT / "template.yaml"
    state: Path = Path(".mldr/local")

    @property
    def everywhere(self) -> tuple[str, ...]:
        """Every region with a stack. The witness comes first: the others are told its gateway's host."""
        return (*([self.witness] if self.witness else []), *self.regions)


class Part(Protocol):
    """Something that runs beside the others."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End; leave no child process and no thread that blocks exit."""


class Cloud:
    """Two (or more) AWS regions in this process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.outage, self.clock, self.calls = Outage(), Clock(), CallLog()
        self.permissions = Permissions(ACCOUNT)
        self.http_port = options.http_port or _free_port()
        self.stacks: dict[str, Stack] = {}
        gate = Gate(moto_application(), {PREFIX: Admin(self)}, self.outage, self.permissions, self.calls, ACCOUNT)
        self.server = Server(gate, options.port)
        self._edge()
        self._runtime()
        self._parts: list[Part] = [
            ManagedPolicies(),
            S3Repairs(ACCOUNT),
            BatchOperations(ACCOUNT, self.permissions.role_refusal),
            S3Events(ACCOUNT, self.router.emit),
            DynamoDBRepairs(),
            DynamoDBBatches(),
            Expiry(ACCOUNT, self.outage, self.clock),
            SageMakerRepairs(ACCOUNT, self.router.emit),
            SageMakerServingRepairs(self.endpoints.reweigh, self.endpoints.compose),
            SageMakerEndpointRepairs(self.endpoints),
            ScalingAlarmRepairs(),
            ServiceQuotaRepairs(),
            DomainNameRepairs(),
            Route53Repairs(self.checkers.observations),
            StateMachines(ACCOUNT, self.server.url, self.outage, self.router),
            self.functions,
            self.endpoints,
            self.router,
            self.server,
            self.dns,
            self.front,
            self.checkers,
            EventSources(ACCOUNT, self.outage, self.clock, self.functions, self.rights.forbids_polling),
            Schedules(ACCOUNT, self.outage, self.clock, self.router),
        ]
        self._started: list[Part] = []

    def _edge(self) -> None:
        fronts = front_addresses(self._fronted)
        self.apis = HttpApis()
        self.checkers = HealthCheckers(self._address, fronts.values(), self.http_port)
        self.zones = Zones(self._fronted, self.checkers.healthy)
        self.dns = DnsServer(self.zones, self.options.dns_port)

    @property
    def _fronted(self) -> tuple[str, ...]:
        """The regions in the order of their fronts' addresses."""
        return (*self.options.regions, *([self.options.witness] if self.options.witness else []))

    def _address(self, name: str) -> str | None:
        # Zones and checkers ask each other; the zones are made second.
        return self.zones.address(name)

    def _runtime(self) -> None:
        shutil.rmtree(self.options.state, ignore_errors=True)
        self.options.state.mkdir(parents=True, exist_ok=True)
        state = self.options.state.resolve()
        overrides = {
            "AWS_ENDPOINT_URL": self.server.url,
            "DNS_RESOLVER": self.dns.address,
            "GATEWAY_TRANSPORT": f"http:{self.http_port}",
        }
        self.functions = LambdaRuntime(ACCOUNT, self.outage, state, overrides)
        self.rights = rights = DeliveryRights(ACCOUNT, self.permissions.role_refusal)
        self.router = EventRouter(ACCOUNT, self.outage, self.clock, self.functions, rights.forbids_delivery)
        self.endpoints = Endpoints(self.outage, self.router.emit, self._endpoint_environment, state)
        self.front = HttpFront(self._fronted, self.apis, self.functions, self.outage, self.http_port)

    def _endpoint_environment(self, region: str, endpoint: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_ACCESS_KEY_ID": access_key("endpoint", region, endpoint),
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }

    def start(self) -> None:
        """Start every part; nothing is deployed yet."""
        # moto's in-process clients must never find a person's own credentials or the network.
        os.environ.update(AWS_EC2_METADATA_DISABLED="true", MOTO_PORT=str(self.server.port))
        for part in self._parts:
            part.start()
            self._started.append(part)

    def stop(self) -> None:
        """Stop what was started, in the opposite order."""
        while self._started:
            self._started.pop().stop()

    def deploy(self, region: str) -> Stack:
        """Deploy the template into one region and open its HTTP APIs."""
        options, local = self.options, {"CertificateArn": f"arn:aws:acm:{region}:{ACCOUNT}:certificate/local"}
        local |= self._as_one_of_the_pair(region)
        given = {**options.parameters, **(_as_witness(region) if region == options.witness else {})}
        deployment = Deployment(options.template, self.server.url, region, ACCOUNT, given, local)
        stack = self.stacks[region] = deployment.run()
        for kind, made in stack.resources.values():
            if kind == "AWS::ApiGatewayV2::Api":
                self.apis.register(region, made.ref, _routes(region, made.ref))
        if options.policy and "PolicyLocation" in stack.outputs:
            bucket, _, key = stack.outputs["PolicyLocation"].removeprefix("s3://").partition("/")
            client(self.server.url, "s3", region).put_object(Bucket=bucket, Key=key, Body=options.policy.read_bytes())
        return stack

    def _as_one_of_the_pair(self, region: str) -> dict[str, str]:
        """What a region's stack is told of the others, and of the witness once that stands."""
        peers = [peer for peer in self.options.regions if peer != region]
        told = {"PeerRegion": peers[0], "DnsOwner": self.options.regions[0]} if peers else {}
        witness = self.stacks.get(self.options.witness)
        return {**told, **({"WitnessHost": witness.outputs["GatewayUrl"].removeprefix("https://")} if witness else {})}

    def share_token(self) -> None:
        """Copy the token of the witness's gateway to the regions that ask it."""
        regions = [{"Region": region} for region in self.options.regions]
        name = self.stacks[self.options.witness].outputs["GatewayTokenName"]
        secrets = client(self.server.url, "secretsmanager", self.options.witness)
        secrets.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=regions)

    def environment(self) -> dict[str, str]:
        """What boto3, the AWS CLI and `mldr` need to reach this cloud, from the standby's side."""
        return {
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": self.options.regions[-1],
            "DNS_RESOLVER": self.dns.address,
            "GATEWAY_TRANSPORT": f"http:{self.http_port}",
        }

    def outputs(self) -> dict[str, dict[str, str]]:
        """The stacks' outputs by region."""
        return {region: dict(stack.outputs) for region, stack in self.stacks.items()}

    def status(self) -> dict[str, Any]:
        """What stands and what is failed."""
        regions = {
            region: {
                "failed": self.outage.failed(region),
                "stack": self.stacks[region].name if region in self.stacks else None,
            }
            for region in self.options.everywhere
        }
        ready = len(self.stacks) == len(self.options.everywhere)
        return {"ready": ready, "regions": regions, "failed": sorted(self.outage.regions()), "now": self.clock.now()}

    def health_checks(self) -> dict[str, bool]:
        """Every Route 53 health check's verdict."""
        return self.checkers.statuses()


def _as_witness(region: str) -> dict[str, str]:
    """Parameters of a stack that testifies: it has no models, and its peer is a region where there are none either."""
    return {
        "EnvironmentName": "witness",
        "PeerRegion": GLOBAL_CONTROL_PLANES,
        "DnsOwner": region,
        "CreateZone": "false",
        "ProbeRounds": "1",
        "WitnessHost": "",
    }


def _free_port() -> int:
    """One port for the fronts of all regions, which share it on addresses of their own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _routes(region: str, api_id: str) -> list[Route]:
    """The routes of an HTTP API, each with the function behind it."""
    api = apigatewayv2_backends[ACCOUNT][region].apis[api_id]
    routes = []
    for route in api.routes.values():
        integration = api.integrations[str(route.target).rpartition("/")[2]]
        method, _, path = route.route_key.rpartition(" ")
        function = str(integration.integration_uri).partition(":function:")[2].split(":")[0]
        routes.append(Route(method or "ANY", path, function))
    return routes
