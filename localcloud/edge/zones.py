"""Route 53's view of a question: the record sets of the hosted zones, chosen by routing policy and health.

Rules as Route 53 documents them: failover answers PRIMARY while it is healthy, else a healthy SECONDARY, else PRIMARY
again; a record without a health check is healthy; when every weighted, latency or multivalue record is unhealthy, all
count as healthy; a weight of zero is considered only when nothing heavier is left. Clients on this machine have no
place in the world, so "lowest latency" is the order of the regions.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import dns.exception
import dns.name
import dns.rcode
from moto.route53.models import FakeZone, RecordSet, route53_backends

from localcloud.edge.addresses import ACCOUNT, API_HOST, front_addresses

AWS_TARGET_TTL = 60
LONGEST_CHAIN = 8
MULTIVALUE_ANSWERS = 8


@dataclass(frozen=True)
class Records:
    """Resource records of one name and type, as they go into a DNS message."""

    name: dns.name.Name
    type: str
    ttl: int
    values: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """What is known about a question; `soa` when the answer is that there is nothing."""

    rcode: dns.rcode.Rcode
    answers: tuple[Records, ...] = ()
    soa: Records | None = None


class Zones:
    """Answers questions from moto's public hosted zones and the regions' HTTP fronts."""

    def __init__(
        self, regions: Sequence[str], healthy: Callable[[str], bool], chance: random.Random | None = None
    ) -> None:
        self._fronts = front_addresses(regions)
        self._healthy = healthy
        self._chance = chance or random.Random()

    def find(self, name: dns.name.Name, rtype: str) -> Finding:
        """Everything known about the name, CNAMEs followed as far as the zones reach."""
        answers: list[Records] = []
        for _ in range(LONGEST_CHAIN):
            step = self._step(name, rtype)
            answers += step.answers
            if not step.answers or step.answers[-1].type != "CNAME" or rtype == "CNAME":
                known = step.rcode != dns.rcode.REFUSED or not answers
                return Finding(step.rcode if known else dns.rcode.NOERROR, tuple(answers), step.soa)
            name = domain(step.answers[-1].values[0])
        return Finding(dns.rcode.SERVFAIL)

    def address(self, name: str) -> str | None:
        """One IPv4 address of the name, for a checker that stands inside this machine."""
        try:
            found = self.find(domain(name), "A").answers
        except dns.exception.DNSException:
            return None
        return found[-1].values[0] if found and found[-1].type == "A" else None

    def _step(self, name: dns.name.Name, rtype: str) -> Finding:
        front = self._front(name)
        if front is not None:
            return Finding(dns.rcode.NOERROR, (front,) if rtype == "A" else ())
        zone = _zone_of(name)
        if zone is None:
            return Finding(dns.rcode.REFUSED)
        sets = _sets_at(zone, name)
        if sets is None:
            return Finding(dns.rcode.NXDOMAIN, soa=_soa(zone))
        records = self._answer(name, sets, rtype) or self._answer(name, sets, "CNAME")
        return Finding(dns.rcode.NOERROR, (records,)) if records else Finding(dns.rcode.NOERROR, soa=_soa(zone))

    def _front(self, name: dns.name.Name) -> Records | None:
        host = API_HOST.match(name.to_text().lower())
        address = self._fronts.get(host["region"]) if host else None
        return Records(name, "A", AWS_TARGET_TTL, (address,)) if address else None

    def _answer(self, name: dns.name.Name, sets: Iterable[RecordSet], rtype: str) -> Records | None:
        chosen = self._choose([record for record in sets if record.type == rtype])
        if not chosen:
            return None
        if chosen[0].alias_target:
            target = self.find(domain(chosen[0].alias_target["DNSName"]), rtype).answers
            return replace(target[-1], name=name) if target and target[-1].type == rtype else None
        values = tuple(chain.from_iterable(_values(record) for record in chosen))
        return Records(name, rtype, int(chosen[0].ttl or 0), values)

    def _choose(self, records: list[RecordSet]) -> list[RecordSet]:
        if not records or records[0].set_identifier is None:
            return records[:1]
        healthy = [record for record in records if self._is_healthy(record)]
        if records[0].failover:
            return _failover(records, healthy)
        considered = healthy or records
        if records[0].multi_value_answer:
            return self._chance.sample(considered, min(len(considered), MULTIVALUE_ANSWERS))
        if records[0].region:
            return [min(considered, key=self._distance)]
        heavy = [record for record in considered if int(record.weight or 0)]
        weights = [int(record.weight or 0) for record in heavy] or None
        return self._chance.choices(heavy or considered, weights)

    def _is_healthy(self, record: RecordSet) -> bool:
        if record.health_check_id and not self._healthy(record.health_check_id):
            return False
        target = record.alias_target or {}
        if str(target.get("EvaluateTargetHealth")).lower() != "true":
            return True
        name = domain(target["DNSName"])
        zone = _zone_of(name)
        sets = (_sets_at(zone, name) if zone else None) or []
        same = [candidate for candidate in sets if candidate.type == record.type and candidate is not record]
        return not same or any(self._is_healthy(candidate) for candidate in same)

    def _distance(self, record: RecordSet) -> int:
        regions = list(self._fronts)
        return regions.index(record.region) if record.region in regions else len(regions)


def domain(text: str) -> dns.name.Name:
    """The absolute name; Route 53 writes the wildcard's asterisk as an octal escape."""
    return dns.name.from_text(text.replace("\\052", "*")).canonicalize()


def _failover(records: list[RecordSet], healthy: list[RecordSet]) -> list[RecordSet]:
    primary = [record for record in records if record.failover == "PRIMARY"]
    for candidates in (primary, records):
        for record in candidates:
            if record in healthy:
                return [record]
    return (primary or records)[:1]


def _zone_of(name: dns.name.Name) -> FakeZone | None:
    zones = [zone for zone in list(route53_backends[ACCOUNT]["aws"].zones.values()) if not zone.private_zone]
    holding = [zone for zone in zones if name.is_subdomain(domain(zone.name))]
    return max(holding, key=lambda zone: len(domain(zone.name)), default=None)


def _sets_at(zone: FakeZone, name: dns.name.Name) -> list[RecordSet] | None:
    """The record sets of the name or of the wildcard that covers it; None when there is no such name."""
    by_name: dict[dns.name.Name, list[RecordSet]] = {}
    for record in list(zone.rrsets):
        by_name.setdefault(domain(record.name), []).append(record)
    exact = name.canonicalize()
    if exact in by_name:
        return by_name[exact]
    if any(owner.is_subdomain(exact) for owner in by_name):
        return []
    encloser = exact.parent()
    while not any(owner.is_subdomain(encloser) for owner in by_name):
        encloser = encloser.parent()
    return by_name.get(dns.name.Name((b"*", *encloser.labels)))


def _values(record: RecordSet) -> tuple[str, ...]:
    """moto keeps the values of the records that it makes itself in the API's shape, all others bare."""
    return tuple(value["Value"] if isinstance(value, dict) else str(value) for value in record.records)


def _soa(zone: FakeZone) -> Records | None:
    for record in zone.rrsets:
        if record.type == "SOA":
            return Records(domain(zone.name), "SOA", int(record.ttl or 0), _values(record))
    return None
