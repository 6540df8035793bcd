"""How resources are made: the registry of known types, and calls that speak CloudFormation's looser types."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.session import get_session

from localcloud.deploy.errors import DeployError, UnknownInTemplate
from localcloud.principals import DEPLOYER

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """What stands now: the value of Ref and the attributes for Fn::GetAtt."""

    ref: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a stack is being deployed."""

    endpoint: str
    region: str
    account: str
    stack: str

    def name_for(self, logical: str) -> str:
        """A physical name for a resource that the template leaves unnamed."""
        suffix = sha256(f"{self.stack}/{self.region}/{logical}".encode()).hexdigest()[:12]
        return f"{self.stack}-{logical}-{suffix}"

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """One AWS call; numbers, booleans and JSON documents are shaped as the service model wants them."""
        return self.call_in(self.region, service, operation, **parameters)

    def call_in(self, region: str, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The same in a region that is not the stack's own."""
        made = client(self.endpoint, service, region)
        shape = made.meta.service_model.operation_model(_operation_names(service)[operation]).input_shape
        shaped = _shaped(shape, parameters) if shape else {}
        answer: dict[str, Any] = getattr(made, operation)(**shaped)
        return answer


Maker = Callable[[Place, str, Properties], Made]
MAKERS: dict[str, tuple[Maker, frozenset[str]]] = {}


def makes(kind: str, *properties: str) -> Callable[[Maker], Maker]:
    """Register the maker of a resource type and the properties that it honours."""

    def register(maker: Maker) -> Maker:
        MAKERS[kind] = (maker, frozenset(properties))
        return maker

    return register


def check(name: str, kind: str, properties: Properties) -> None:
    """Refuse a type or a property that no maker honours."""
    if kind not in MAKERS:
        raise UnknownInTemplate(
            f"{name}: resource type {kind} is unknown to the local cloud; add its maker to localcloud/deploy"
        )
    unknown = sorted(set(properties) - MAKERS[kind][1])
    if unknown:
        raise UnknownInTemplate(
            f"{name} ({kind}): the local cloud does not know {', '.join(unknown)}; teach its maker in localcloud/deploy"
        )


def make(place: Place, name: str, kind: str, properties: Properties) -> Made:
    """Create one resource; a failure names it and says why."""
    check(name, kind, properties)
    try:
        return MAKERS[kind][0](place, name, properties)
    except (ClientError, BotoCoreError, KeyError) as reason:
        why = f"missing {reason}" if isinstance(reason, KeyError) else str(reason)
        raise DeployError(f"{name} ({kind}) in {place.region} could not be created: {why}") from reason


def only(properties: Properties, *names: str) -> dict[str, Any]:
    """These properties, where present."""
    return {name: properties[name] for name in names if name in properties}


def without(properties: Properties, *names: str) -> dict[str, Any]:
    """All properties but these."""
    return {name: value for name, value in properties.items() if name not in names}


def tags(properties: Properties) -> dict[str, str]:
    """CloudFormation's list of tags as a mapping."""
    given = properties.get("Tags", [])
    pairs = given.items() if isinstance(given, Mapping) else ((tag["Key"], tag["Value"]) for tag in given)
    return {str(key): str(value) for key, value in pairs}


@cache
def client(endpoint: str, service: str, region: str) -> Any:
    """A client of the deployer; clients are slow to build and safe to share."""
    retries = Config(retries={"max_attempts": 1}, read_timeout=120)
    return _session().client(
        service,  # type: ignore[call-overload]
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=DEPLOYER,
        aws_secret_access_key=DEPLOYER,
        config=retries,
    )


@cache
def _session() -> boto3.Session:
    """One session: it reads each service model once for all regions."""
    return boto3.Session()


@cache
def _operation_names(service: str) -> Mapping[str, str]:
    return {xform_name(name): name for name in get_session().get_service_model(service).operation_names}


def _shaped(shape: Shape, value: Any) -> Any:
    match shape:
        case StructureShape() if isinstance(value, Mapping):
            return {
                name: _shaped(shape.members[name], item) if name in shape.members else item
                for name, item in value.items()
            }
        case ListShape() if isinstance(value, list):
            return [_shaped(shape.member, item) for item in value]
        case MapShape() if isinstance(value, Mapping):
            return {str(key): _shaped(shape.value, item) for key, item in value.items()}
    return _scalar(shape.type_name, value)


def _scalar(kind: str, value: Any) -> Any:
    if kind == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if kind in ("integer", "long") and isinstance(value, str):
        return int(value)
    if kind in ("double", "float") and isinstance(value, str):
        return float(value)
    if kind == "string" and not isinstance(value, str):
        return text(value)
    return value


def text(value: Any) -> str:
    """A document as JSON, a boolean in lower case, anything else as it prints."""
    if isinstance(value, bool | dict | list):
        return json.dumps(value)
    return str(value)


def location(region: str) -> dict[str, Any]:
    """us-east-1 must not be named when a bucket is created there."""
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
