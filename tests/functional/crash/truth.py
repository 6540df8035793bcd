"""What is true of both regions: what may hold at no moment, and where everything stands at the end."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from localcloud.edge.addresses import ACCOUNT
from mldr.aws.catalog import DynamoCatalog
from mldr.domain.manifests import Entry, decode, digest_of
from mldr.domain.recovery_point import Manifest, Record, manifest_key, newest_restorable
from tests.functional.crash.network import score
from tests.functional.crash.story import MODEL, QUESTIONS, WEIGHTS, Story
from tests.functional.crash.two_regions import ACTIVE, STANDBY, client

VAULT = f"mldr-prod-vault-{ACCOUNT}-{STANDBY}"
NAME = f"{MODEL.label}.models.mldr.test"
OF_A_PLAN = re.compile(r"(/objects|/shards)/[0-9a-f]+(\.avro)?")
OF_THIS_RUN = {"attempt", "started_at", "sealed_at", "manifest_version", "restorable"}


def catalog() -> DynamoCatalog:
    """The catalog, read by the product's own adapter."""
    return DynamoCatalog(client("dynamodb", STANDBY), table="mldr-prod-catalog")


def versions(prefix: str = "") -> list[dict[str, Any]]:
    """Every version in the vault; a delete marker would be a defect by itself."""
    pages = client("s3", STANDBY).get_paginator("list_object_versions").paginate(Bucket=VAULT, Prefix=prefix)
    found = list(pages)
    assert not any(page.get("DeleteMarkers") for page in found), "something was deleted from the vault"
    return [one for page in found for one in page.get("Versions", [])]


# at every moment


def nothing_partial(story: Story) -> None:
    """What a recovery that begins now would use is whole; the switch and the names follow the proof."""
    records = catalog().records(MODEL)
    manifests = {one["Key"]: one["VersionId"] for one in versions("recovery-points/") if _is_manifest(one["Key"])}
    for key, version in manifests.items():
        _is_whole(key, version)
    for record in records:
        if record.restorable:
            key = manifest_key(MODEL, record.recovery_point)
            assert manifests.get(key) == record.manifest_version, f"{record.recovery_point} is SEALED without its seal"
    _names_follow_the_switch(story, newest_restorable(records))


def _is_manifest(key: str) -> bool:
    return key.endswith("/manifest.json")


def _is_whole(key: str, version: str) -> None:
    s3 = client("s3", STANDBY)
    manifest = Manifest.model_validate_json(s3.get_object(Bucket=VAULT, Key=key, VersionId=version)["Body"].read())
    for ref in manifest.shards:
        assert _lock_of(ref.key, ref.version_id) >= manifest.retention.until.replace(microsecond=0), ref.key
    held = _lines(manifest)
    assert (len(held), sum(item.size for item in held)) == (manifest.objects, manifest.bytes)
    for item in held:
        stored = s3.head_object(Bucket=VAULT, Key=item.key, VersionId=item.version_id, ChecksumMode="ENABLED")
        assert stored["ContentLength"] == item.size
        assert item.digests, f"{item.key} has no digest"
        for algorithm, value in item.digests.items():
            assert stored[f"Checksum{algorithm}"] == value, f"{item.key} is not what was verified"
        assert stored["ObjectLockRetainUntilDate"] >= manifest.retention.until.replace(microsecond=0), item.key
        copied = s3.get_object(Bucket=VAULT, Key=item.key, VersionId=item.version_id)["Body"].read()
        pin = (item.bucket, item.source_key, item.source_version)
        assert copied == _pinned(*pin), f"{item.key} holds other bytes than {item.source}"


def _lock_of(key: str, version: str) -> dt.datetime:
    head = client("s3", STANDBY).head_object(Bucket=VAULT, Key=key, VersionId=version)
    return head["ObjectLockRetainUntilDate"]  # type: ignore[no-any-return]


def _lines(manifest: Manifest) -> list[Entry]:
    """Every line of a manifest, from the versions that it names."""
    s3, found = client("s3", STANDBY), []
    for ref in manifest.shards:
        body = s3.get_object(Bucket=VAULT, Key=ref.key, VersionId=ref.version_id)["Body"].read()
        assert digest_of(body) == ref.digest, ref.key
        found += decode(body)
    return found


@cache
def _pinned(bucket: str, key: str, version: str) -> bytes:
    """A version never changes, so it is read once."""
    return bytes(client("s3", ACTIVE).get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read())


def _names_follow_the_switch(story: Story, point: Record | None) -> None:
    takeover = catalog().takeover(MODEL)
    if takeover is None:
        _nobody_is_sent_astray(story)
        return
    assert "verify_serving" in story.regions.done, "the switch was flipped before the answers were proven"
    assert point, "the switch is on without a point to serve"
    assert answers(takeover.endpoint) == [score(WEIGHTS, question) for question in QUESTIONS]


def _nobody_is_sent_astray(story: Story) -> None:
    """Clients are sent to a standby that took nothing over only where it answers beside the home, as was proven."""
    route, beside = catalog().route(MODEL), catalog().leadership(MODEL).beside
    sent = (route and route.spread) or story.regions.network.target(NAME) == _target(STANDBY)
    assert beside or not sent, "clients are sent to a standby where nothing answers"
    if beside:
        assert answers(beside.endpoint) == [score(WEIGHTS, question) for question in QUESTIONS]


def _target(region: str) -> str:
    value = client("ssm", region).get_parameter(Name="/mldr/prod/gateway")["Parameter"]["Value"]
    return str(json.loads(value)["target"])


def answers(endpoint: str) -> list[Any]:
    """What an endpoint of the standby answers to the golden questions."""
    runtime = client("sagemaker-runtime", STANDBY)
    asked = [runtime.invoke_endpoint(EndpointName=endpoint, Body=json.dumps(one)) for one in QUESTIONS]
    return [json.loads(one["Body"].read()) for one in asked]


# at the end


def final_state(story: Story) -> dict[str, Any]:
    """Where everything stands, without what differs between two runs that were both right."""
    return {
        "records": [_record(one) for one in catalog().records(MODEL)],
        "models": [str(one) for one in catalog().models()],
        "route": json.loads(route.model_dump_json()) if (route := catalog().route(MODEL)) else None,
        "vault": _vault(),
        "packages": _packages(),
        "checks": sorted(_checks().values()),
        "names": _record_sets(),
        "told": sorted({one["DetailType"] for one in story.regions.wire.puts}),
        "requests": sorted({json.loads(one["Detail"])["failover_id"] for one in story.requests()}),
        **_serving(),
    }


def _record(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json", exclude=OF_THIS_RUN)


def _vault() -> dict[str, Any]:
    """Sealed objects: how many versions each has, and for manifests what they say.

    A plan's id says when it was made, and a shard's name depends on the versions that it names; both differ from run to
    run.
    """
    found = versions("recovery-points/")
    counted: dict[str, Any] = dict(Counter(_told(one["Key"]) for one in found))
    for one in found:
        if _is_manifest(one["Key"]):
            body = client("s3", STANDBY).get_object(Bucket=VAULT, Key=one["Key"])["Body"].read()
            said = Manifest.model_validate_json(body)
            pins = [(one.name, one.source, one.size, one.digests) for one in _lines(said)]
            rewrites = [(one.path, _told(one.target)) for one in said.rewrites]
            counted[one["Key"]] = (counted[one["Key"]], pins, rewrites, said.registry_document, said.shared)
    return counted


def _told(key: str) -> str:
    """A key without what differs between two runs that were both right."""
    return OF_A_PLAN.sub(r"\1/...", key)


def _packages() -> list[Any]:
    sagemaker = client("sagemaker", STANDBY)
    try:
        found = sagemaker.list_model_packages(ModelPackageGroupName=MODEL.name)["ModelPackageSummaryList"]
    except ClientError:
        return []
    described = [sagemaker.describe_model_package(ModelPackageName=one["ModelPackageArn"]) for one in found]
    names = ("ModelPackageArn", "ModelApprovalStatus", "CustomerMetadataProperties", "InferenceSpecification")
    return json.loads(_told(json.dumps(sorted(([one.get(name) for name in names] for one in described), key=str))))  # type: ignore[no-any-return]


def _checks() -> dict[str, str]:
    """Every health check by id, described without ids."""
    found = {one["Id"]: one["HealthCheckConfig"] for one in client("route53").list_health_checks()["HealthChecks"]}
    return {name: json.dumps(_described(config, found), sort_keys=True) for name, config in found.items()}


def _described(config: dict[str, Any], every: dict[str, Any]) -> dict[str, Any]:
    children = [_described(every[child], every) for child in config.get("ChildHealthChecks", [])]
    return {**config, "ChildHealthChecks": children}


def _record_sets() -> list[str]:
    route53, checks = client("route53"), _checks()
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    found = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    named = [{**one, "HealthCheckId": checks.get(one.get("HealthCheckId", ""))} for one in found]
    return sorted(json.dumps(one, sort_keys=True) for one in named if MODEL.label in one["Name"])


def _serving() -> dict[str, Any]:
    sagemaker, epoch, takeover = client("sagemaker", STANDBY), catalog().epoch(MODEL), catalog().takeover(MODEL)
    return {
        "epoch": (epoch.number, epoch.failover_id, epoch.concluded) if epoch else None,
        "takeover": (takeover.epoch, takeover.endpoint, takeover.recovery_point) if takeover else None,
        "endpoints": [one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"]],
        "configs": [one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]],
        "serving models": [one["ModelName"] for one in sagemaker.list_models()["Models"]],
        "evidence": _evidence(),
    }


def _evidence() -> list[Any]:
    found = []
    for one in versions("evidence/"):
        said = json.loads(client("s3", STANDBY).get_object(Bucket=VAULT, Key=one["Key"])["Body"].read())
        found.append([one["Key"], said["id"], said["outcome"], said["epoch"], said["recovery_point"]])
    return sorted(found)


def difference(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    """Name what differs."""
    return "; ".join(
        f"{name}: {found[name]!r} instead of {wanted[name]!r}" for name in wanted if wanted[name] != found[name]
    )
