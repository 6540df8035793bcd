"""One template deployed into one region: translated, ordered, created, or refused with the reason."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.deploy import resources as _resources  # noqa: F401 - registers the makers
from localcloud.deploy.errors import DeployError, UnknownInTemplate
from localcloud.deploy.intrinsics import Scope
from localcloud.deploy.maker import Made, Place, check, location, make
from localcloud.deploy.order import creation_order
from localcloud.deploy.package import package
from localcloud.deploy.parameters import from_samconfig, resolve
from localcloud.deploy.translate import load, translate

SECTIONS = {
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
}
RESOURCE_KEYS = {"Type", "Properties", "DependsOn", "Condition", "Metadata", "DeletionPolicy", "UpdateReplacePolicy"}


@dataclass(frozen=True)
class Stack:
    """What a deployment left behind."""

    region: str
    name: str
    parameters: Mapping[str, Any]
    resources: Mapping[str, tuple[str, Made]]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Deployment:
    """A template and where it shall stand; parameters: samconfig.toml, then `local` where declared, then overrides."""

    template: Path
    endpoint: str
    region: str
    account: str
    overrides: Mapping[str, str]
    local: Mapping[str, str]

    def run(self) -> Stack:
        """Deploy; on a failure nothing later in the template is created."""
        template = load(self.template)
        declared = template.get("Parameters", {})
        local = {name: value for name, value in self.local.items() if name in declared}
        given = {**from_samconfig(self.template.parent / "samconfig.toml", self.region), **local, **self.overrides}
        values = resolve(declared, given)
        place = Place(self.endpoint, self.region, self.account, f"mldr-{values.get('EnvironmentName', 'prod')}")
        package(template, self.template.parent, lambda name, code: _store(place, name, code))
        translated = translate(template, values, self.region)
        return create(translated, values, place)


def create(translated: Mapping[str, Any], values: Mapping[str, Any], place: Place) -> Stack:
    """Create every resource of a CloudFormation template, in order, and work out its outputs."""
    unknown = sorted(set(translated) - SECTIONS)
    if unknown:
        raise UnknownInTemplate(f"template section {', '.join(unknown)} is unknown to the local cloud")
    conditions, mappings = translated.get("Conditions", {}), translated.get("Mappings", {})
    scope = Scope(values, _pseudo(place), mappings, conditions)
    wanted = {name: resource for name, resource in translated["Resources"].items() if _wanted(name, resource, scope)}
    _refuse_unknown(wanted)
    made = {}
    for name in creation_order(wanted):
        kind = wanted[name]["Type"]
        made[name] = (kind, _create(place, name, kind, wanted[name].get("Properties", {}), scope))
        scope.references[name], scope.attributes[name] = made[name][1].ref, made[name][1].attributes
    return Stack(place.region, place.stack, values, made, _outputs(translated.get("Outputs", {}), scope))


def _create(place: Place, name: str, kind: str, properties: Mapping[str, Any], scope: Scope) -> Made:
    try:
        resolved = scope.resolve(properties)
    except DeployError as reason:
        raise type(reason)(f"{name} ({kind}): {reason}") from reason
    return make(place, name, kind, resolved)


def _wanted(name: str, resource: Mapping[str, Any], scope: Scope) -> bool:
    strange = sorted(set(resource) - RESOURCE_KEYS)
    if strange:
        raise UnknownInTemplate(f"{name}: resource attribute {', '.join(strange)} is unknown to the local cloud")
    return "Condition" not in resource or scope.holds(resource["Condition"])


def _refuse_unknown(resources: Mapping[str, Any]) -> None:
    """All refusals at once, before anything is created."""
    refusals = []
    for name, resource in resources.items():
        try:
            check(name, resource["Type"], resource.get("Properties", {}))
        except UnknownInTemplate as refusal:
            refusals.append(str(refusal))
    if refusals:
        raise UnknownInTemplate("; ".join(refusals))


def _outputs(declared: Mapping[str, Any], scope: Scope) -> dict[str, str]:
    outputs = {}
    for name, output in declared.items():
        if "Condition" not in output or scope.holds(output["Condition"]):
            try:
                outputs[name] = str(scope.resolve(output["Value"]))
            except DeployError as reason:
                raise type(reason)(f"output {name}: {reason}") from reason
    return outputs


def _pseudo(place: Place) -> dict[str, Any]:
    stack_id = f"arn:aws:cloudformation:{place.region}:{place.account}:stack/{place.stack}/{uuid.UUID(int=0)}"
    return {
        "AWS::AccountId": place.account,
        "AWS::Partition": "aws",
        "AWS::Region": place.region,
        "AWS::StackId": stack_id,
        "AWS::StackName": place.stack,
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::NotificationARNs": [],
    }


def _store(place: Place, name: str, code: bytes) -> dict[str, str]:
    """Put an archive where `sam package` would: a bucket of the deploying tool, in the stack's region."""
    bucket, key = f"local-deployments-{place.account}-{place.region}", f"{place.stack}/{name}.zip"
    if bucket not in {found["Name"] for found in place.call("s3", "list_buckets")["Buckets"]}:
        place.call("s3", "create_bucket", Bucket=bucket, **location(place.region))
    place.call("s3", "put_object", Bucket=bucket, Key=key, Body=code)
    return {"Bucket": bucket, "Key": key}
