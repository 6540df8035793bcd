"""Route 53's rules for a batch of record set changes: all of it or nothing, and every fault named."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
from moto.route53.exceptions import InvalidActionValue, InvalidInput, NoSuchHealthCheck, Route53ClientError
from moto.route53.models import FakeZone, RecordSet

from localcloud.edge.zones import domain

POLICIES = ("Failover", "Weight", "Region", "MultiValueAnswer")
HEAVIEST, LONGEST_IDENTIFIER = 255, 128
UNKNOWN_POLICIES = ("GeoLocation", "GeoProximityLocation", "CidrRoutingConfig", "TrafficPolicyInstanceId")
Key = tuple[dns.name.Name, str, str | None]


class BadBatch(Route53ClientError):
    """The batch breaks a rule of the zone; nothing of it was applied."""

    def __init__(self, faults: Iterable[str]) -> None:
        super().__init__("InvalidChangeBatch", f"[{', '.join(faults)}]")


def apply(zone: FakeZone, changes: Iterable[Mapping[str, Any]], checks: Collection[str]) -> list[RecordSet]:
    """The zone's record sets after the batch."""
    sets = {_key_of(record): record for record in zone.rrsets}
    faults: list[str] = []
    deleted: set[Key] = set()
    for change in changes:
        described = _checked(change, checks)
        wrong = _misplaced(zone, described) or _bad_values(described)
        fault = wrong or _change(sets, change["Action"], described, deleted)
        if fault:
            faults.append(fault)
    faults = faults or _conflicts(zone, list(sets.values()))
    if faults:
        raise BadBatch(faults)
    return list(sets.values())


def _checked(change: Mapping[str, Any], checks: Collection[str]) -> dict[str, Any]:
    """The record set in moto's shape; raises when the request alone is wrong."""
    if change["Action"] not in ("CREATE", "UPSERT", "DELETE"):
        raise InvalidActionValue(change["Action"])
    described = dict(change["ResourceRecordSet"])
    for policy in UNKNOWN_POLICIES:
        if described.get(policy) is not None:
            raise InvalidInput(f"The local cloud does not know {policy} records.")
    described["Name"] = described["Name"].rstrip(".").lower().replace("*", "\\052") + "."
    described["ResourceRecords"] = [record["Value"] for record in described.get("ResourceRecords") or ()]
    if not described.get("AliasTarget") and (described.get("TTL") is None or not described["ResourceRecords"]):
        raise InvalidInput(
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
            f"TrafficPolicyInstanceId], but found none in Change with [Action={change['Action']}, "
            f"Name={described['Name']}, Type={described['Type']}, SetIdentifier={described.get('SetIdentifier')}]"
        )
    _routed_rightly(described)
    check = described.get("HealthCheckId")
    if check and change["Action"] != "DELETE" and check not in checks:
        raise NoSuchHealthCheck(check)
    return described


def _routed_rightly(described: Mapping[str, Any]) -> None:
    policies = [policy for policy in POLICIES if described.get(policy) is not None]
    if len(policies) > 1 or bool(policies) is not bool(described.get("SetIdentifier")):
        raise InvalidInput(
            f"Invalid request: {described['Name']} {described['Type']} needs a SetIdentifier with exactly one of "
            f"{', '.join(POLICIES)}, or none of them; found {', '.join(policies) or 'none'}"
        )
    if len(described.get("SetIdentifier") or "") > LONGEST_IDENTIFIER:
        raise InvalidInput(f"A SetIdentifier has {LONGEST_IDENTIFIER} characters at the most.")
    if described.get("Weight") is not None and not 0 <= int(described["Weight"]) <= HEAVIEST:
        raise InvalidInput(f"A Weight is from 0 to {HEAVIEST}, not {described['Weight']}.")
    for policy in ("Weight", "Region"):
        if described.get(policy) is not None and len(described["ResourceRecords"]) > 1:
            raise InvalidInput(f"{described['Name']} {described['Type']}: a record of a {policy} has one value.")


def _misplaced(zone: FakeZone, described: Mapping[str, Any]) -> str | None:
    try:
        name = domain(described["Name"])
    except dns.exception.DNSException:
        return f"The name {described['Name']!r} is no domain name"
    if not name.is_subdomain(domain(zone.name)):
        return f"RRSet with DNS name {described['Name']} is not permitted in zone {zone.name}"
    return None


def _bad_values(described: Mapping[str, Any]) -> str | None:
    for value in described["ResourceRecords"]:
        try:
            dns.rdata.from_text(dns.rdataclass.IN, described["Type"], value, dns.name.root, relativize=False)
        except (dns.exception.DNSException, ValueError):
            return f"Invalid Resource Record: {value!r} is not a valid {described['Type']} value"
    return None


def _change(sets: dict[Key, RecordSet], action: str, described: Mapping[str, Any], deleted: set[Key]) -> str | None:
    record = RecordSet(dict(described))  # type: ignore[abstract]  # moto makes them so itself
    key = _key_of(record)
    there = sets.get(key)
    if action == "CREATE" and there is not None:
        return f"Tried to create resource record set {_label(record)} but it already exists"
    if action != "DELETE":
        sets[key] = record
        return None
    if key in deleted:
        return f"Tried to delete resource record set {_label(record)} more than once in the same request"
    deleted.add(key)
    if there is None:
        return f"Tried to delete resource record set {_label(record)} but it was not found"
    if _content(there) != _content(record):
        return f"Tried to delete resource record set {_label(record)} but the values provided do not match"
    del sets[key]
    return None


def _conflicts(zone: FakeZone, records: list[RecordSet]) -> list[str]:
    faults = []
    by_name: dict[dns.name.Name, list[RecordSet]] = {}
    for record in records:
        by_name.setdefault(domain(record.name), []).append(record)
    for name, sharing in by_name.items():
        types = {record.type for record in sharing}
        if "CNAME" in types and (len(types) > 1 or name == domain(zone.name)):
            faults.append(f"RRSet of type CNAME with DNS name {name} is not permitted: it conflicts with other records")
        for rtype in types:
            faults += _policy_conflicts([record for record in sharing if record.type == rtype])
    return faults


def _policy_conflicts(group: list[RecordSet]) -> list[str]:
    first = group[0]
    if len({_policy(record) for record in group}) > 1:
        return [f"RRSet with DNS name {first.name}, type {first.type} mixes routing policies"]
    roles = [record.failover for record in group if record.failover]
    if len(roles) > len(set(roles)):
        return [f"RRSet with DNS name {first.name}, type {first.type} has two records of the same failover role"]
    regions = [record.region for record in group if record.region]
    if len(regions) > len(set(regions)):
        return [f"RRSet with DNS name {first.name}, type {first.type} has two latency records of the same region"]
    return []


def _policy(record: RecordSet) -> str:
    values = (record.failover, record.weight, record.region, record.multi_value_answer)
    return next((policy for policy, value in zip(POLICIES, values, strict=True) if value is not None), "simple")


def _key_of(record: RecordSet) -> Key:
    return domain(record.name), str(record.type), record.set_identifier


def _content(record: RecordSet) -> tuple[Any, ...]:
    """What a deletion has to repeat of a record, to the last value."""
    numbers = [None if one is None else int(one) for one in (record.ttl, record.weight)]
    told = (record.failover, record.region, record.health_check_id)
    return *numbers, sorted(map(str, record.records)), record.alias_target, *told, _policy(record)


def _label(record: RecordSet) -> str:
    name = f"name='{record.name}', type='{record.type}'"
    return f"[{name}, set identifier='{record.set_identifier}']" if record.set_identifier else f"[{name}]"
