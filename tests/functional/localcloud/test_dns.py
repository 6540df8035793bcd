"""The DNS server answers from the hosted zones as Route 53 would."""

import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.resolver
import pytest
from moto.route53.models import route53_backends

from localcloud.edge.addresses import ACCOUNT
from localcloud.edge.change_batch import apply
from localcloud.edge.dns_server import DnsServer, reply
from localcloud.edge.resolve import Resolver, resolve
from localcloud.edge.zones import Zones

REGIONS = ("ap-southeast-1", "ap-southeast-3")
ACTIVE = "abc123.execute-api.ap-southeast-1.amazonaws.com"
STANDBY = "def456.execute-api.ap-southeast-3.amazonaws.com"


class World:
    """A DNS server over one zone, with health that the test decides."""

    def __init__(self) -> None:
        self.backend = route53_backends[ACCOUNT]["aws"]
        self.backend.reset()
        self.zone = self.backend.create_hosted_zone("models.mldr.test.", private_zone=False)
        self.unhealthy: set[str] = set()
        zones = Zones(REGIONS, lambda check: check not in self.unhealthy, random.Random(7))
        self.server = DnsServer(zones, port=0)

    def add(self, name: str, rtype: str, *values: str, ttl: int = 5, **routing: Any) -> None:
        """One record set in the zone."""
        described = {"Name": name, "Type": rtype, "TTL": ttl, "ResourceRecords": [{"Value": v} for v in values]}
        change = {"Action": "CREATE", "ResourceRecordSet": described | routing}
        check = routing.get("HealthCheckId")
        self.zone.rrsets = apply(self.zone, [change], {check} if check else ())

    def alias(self, name: str, target: str, rtype: str = "A", evaluate: bool = True, **routing: Any) -> None:
        """One alias record set."""
        target_set = {"DNSName": target, "HostedZoneId": "Z", "EvaluateTargetHealth": evaluate}
        described = {"Name": name, "Type": rtype, "AliasTarget": target_set}
        change = {"Action": "CREATE", "ResourceRecordSet": described | routing}
        self.zone.rrsets = apply(self.zone, [change], ())

    def pair(self, secondary_check: str | None = "s") -> None:
        """The failover pair of a model."""
        check = {"HealthCheckId": secondary_check} if secondary_check else {}
        name = "iris.models.mldr.test"
        self.add(name, "CNAME", ACTIVE, SetIdentifier="p", Failover="PRIMARY", HealthCheckId="p")
        self.add(name, "CNAME", STANDBY, SetIdentifier="s", Failover="SECONDARY", **check)

    def ask(self, name: str, rtype: str = "A", tcp: bool = False, **options: Any) -> dns.message.Message:
        """One question to the server."""
        host, _, port = self.server.address.rpartition(":")
        ask: Any = dns.query.tcp if tcp else dns.query.udp
        return ask(dns.message.make_query(name, rtype, **options), host, port=int(port), timeout=2)

    def values(self, name: str, rtype: str = "A") -> list[str]:
        """The values of the answer, CNAMEs included."""
        return [str(value) for rrset in self.ask(name, rtype).answer for value in rrset]


@pytest.fixture
def world() -> Iterator[World]:
    """A running server, an empty zone."""
    made = World()
    made.server.start()
    yield made
    made.server.stop()
    made.backend.reset()


def test_failover_answers_the_primary_while_it_is_healthy(world: World) -> None:
    world.pair()
    assert world.values("iris.models.mldr.test") == [f"{ACTIVE}.", "127.0.0.11"]
    answer = world.ask("iris.models.mldr.test").answer
    assert [rrset.ttl for rrset in answer] == [5, 60]


def test_failover_answers_the_secondary_when_only_the_primary_is_unhealthy(world: World) -> None:
    world.pair()
    world.unhealthy = {"p"}
    assert world.values("iris.models.mldr.test") == [f"{STANDBY}.", "127.0.0.12"]


def test_failover_answers_the_primary_when_both_are_unhealthy(world: World) -> None:
    world.pair()
    world.unhealthy = {"p", "s"}
    assert world.values("iris.models.mldr.test")[-1] == "127.0.0.11"


def test_a_secondary_without_a_check_always_stands_in(world: World) -> None:
    world.pair(secondary_check=None)
    world.unhealthy = {"p", "s"}
    assert world.values("iris.models.mldr.test")[-1] == "127.0.0.12"


def test_weights_share_the_answers_among_the_healthy(world: World) -> None:
    for address, weight in (("192.0.2.1", 90), ("192.0.2.2", 10), ("192.0.2.3", 0)):
        world.add(
            "w.models.mldr.test", "A", address, SetIdentifier=address, Weight=weight, HealthCheckId=f"check-{address}"
        )
    shares = Counter(world.values("w.models.mldr.test")[0] for _ in range(300))
    assert 240 < shares["192.0.2.1"] < 295
    assert shares["192.0.2.3"] == 0
    world.unhealthy = {"check-192.0.2.1"}
    assert {world.values("w.models.mldr.test")[0] for _ in range(20)} == {"192.0.2.2"}
    world.unhealthy |= {"check-192.0.2.2"}
    assert world.values("w.models.mldr.test") == ["192.0.2.3"]
    world.unhealthy |= {"check-192.0.2.3"}
    assert {world.values("w.models.mldr.test")[0] for _ in range(60)} == {"192.0.2.1", "192.0.2.2"}


def test_latency_prefers_the_first_healthy_region(world: World) -> None:
    for address, region in (("192.0.2.3", "ap-southeast-3"), ("192.0.2.1", "ap-southeast-1")):
        world.add("l.models.mldr.test", "A", address, SetIdentifier=region, Region=region, HealthCheckId=region)
    assert world.values("l.models.mldr.test") == ["192.0.2.1"]
    world.unhealthy = {"ap-southeast-1"}
    assert world.values("l.models.mldr.test") == ["192.0.2.3"]
    world.unhealthy = set(REGIONS)
    assert world.values("l.models.mldr.test") == ["192.0.2.1"]


def test_multivalue_answers_all_healthy_values(world: World) -> None:
    for address in ("192.0.2.1", "192.0.2.2"):
        world.add(
            "m.models.mldr.test", "A", address, SetIdentifier=address, MultiValueAnswer=True, HealthCheckId=address
        )
    assert sorted(world.values("m.models.mldr.test")) == ["192.0.2.1", "192.0.2.2"]
    world.unhealthy = {"192.0.2.1"}
    assert world.values("m.models.mldr.test") == ["192.0.2.2"]


def test_the_canary_text_tells_the_verdict(world: World) -> None:
    name = "_health.iris.models.mldr.test"
    world.add(name, "TXT", '"healthy"', SetIdentifier="p", Failover="PRIMARY", HealthCheckId="p")
    world.add(name, "TXT", '"unhealthy"', SetIdentifier="s", Failover="SECONDARY")
    assert Resolver(world.server.address).text(name) == "healthy"
    world.unhealthy = {"p"}
    assert Resolver(world.server.address).text(name) == "unhealthy"


def test_names_are_case_insensitive_and_keep_the_case_of_the_question(world: World) -> None:
    world.add("Iris.models.mldr.test", "A", "192.0.2.1")
    answer = world.ask("iRiS.MODELS.mldr.test").answer
    assert str(answer[0].name) == "iRiS.MODELS.mldr.test."


def test_wildcards_cover_only_names_that_do_not_exist(world: World) -> None:
    world.add("\\052.models.mldr.test", "A", "192.0.2.9")
    world.add("a.iris.models.mldr.test", "A", "192.0.2.1")
    assert world.values("fraud.models.mldr.test") == ["192.0.2.9"]
    assert world.values("a.iris.models.mldr.test") == ["192.0.2.1"]
    assert world.ask("iris.models.mldr.test").rcode() == dns.rcode.NOERROR
    assert world.values("iris.models.mldr.test") == []
    assert world.ask("b.iris.models.mldr.test").rcode() == dns.rcode.NXDOMAIN


def test_nothing_is_said_with_the_zones_soa(world: World) -> None:
    world.add("iris.models.mldr.test", "A", "192.0.2.1")
    missing, empty = world.ask("nope.models.mldr.test"), world.ask("iris.models.mldr.test", "TXT")
    assert (missing.rcode(), empty.rcode()) == (dns.rcode.NXDOMAIN, dns.rcode.NOERROR)
    for message in (missing, empty):
        assert not message.answer
        assert "hostmaster" in str(message.authority[0])
        assert message.flags & dns.flags.AA


def test_soa_and_ns_of_the_zone_are_answered(world: World) -> None:
    assert len(world.values("models.mldr.test", "NS")) == 4
    assert "hostmaster" in world.values("models.mldr.test", "SOA")[0]


def test_aliases_answer_with_the_targets_records(world: World) -> None:
    world.add("target.models.mldr.test", "A", "192.0.2.7", ttl=9)
    world.alias("alias.models.mldr.test", "target.models.mldr.test")
    world.alias("gateway.models.mldr.test", STANDBY)
    answer = world.ask("alias.models.mldr.test").answer[0]
    assert (str(answer.name), answer.ttl, str(answer[0])) == ("alias.models.mldr.test.", 9, "192.0.2.7")
    assert world.values("gateway.models.mldr.test") == ["127.0.0.12"]


def test_an_alias_is_as_healthy_as_its_target(world: World) -> None:
    world.add("t.models.mldr.test", "A", "192.0.2.1", SetIdentifier="t", Weight=1, HealthCheckId="t")
    world.alias("f.models.mldr.test", "t.models.mldr.test", SetIdentifier="p", Failover="PRIMARY")
    world.add("f.models.mldr.test", "A", "192.0.2.2", SetIdentifier="s", Failover="SECONDARY")
    assert world.values("f.models.mldr.test") == ["192.0.2.1"]
    world.unhealthy = {"t"}
    assert world.values("f.models.mldr.test") == ["192.0.2.2"]


def test_names_beyond_the_zones_are_refused(world: World) -> None:
    assert world.ask("example.com").rcode() == dns.rcode.REFUSED
    world.add("out.models.mldr.test", "CNAME", "example.com")
    out = world.ask("out.models.mldr.test")
    assert (out.rcode(), len(out.answer)) == (dns.rcode.NOERROR, 1)


def test_a_cname_loop_ends(world: World) -> None:
    world.add("a.models.mldr.test", "CNAME", "b.models.mldr.test")
    world.add("b.models.mldr.test", "CNAME", "a.models.mldr.test")
    assert world.ask("a.models.mldr.test").rcode() == dns.rcode.SERVFAIL


def test_what_does_not_fit_a_datagram_comes_over_tcp(world: World) -> None:
    long = [f'"{number:03}{"x" * 200}"' for number in range(20)]
    world.add("long.models.mldr.test", "TXT", *long)
    cut = world.ask("long.models.mldr.test", "TXT")
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    assert len(world.ask("long.models.mldr.test", "TXT", tcp=True).answer[0]) == 20


def test_garbage_does_not_stop_the_server(world: World) -> None:
    host, _, port = world.server.address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"\x00\x01garbage", (host, int(port)))
    world.add("iris.models.mldr.test", "A", "192.0.2.1")
    assert world.values("iris.models.mldr.test") == ["192.0.2.1"]


@pytest.mark.parametrize(("rtype", "rdclass"), [("ANY", "IN"), ("A", "CH")])
def test_questions_that_route53_does_not_take_are_not_implemented(world: World, rtype: str, rdclass: str) -> None:
    answer = world.ask("iris.models.mldr.test", rtype, rdclass=rdclass)
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOTIMP, [])


def test_other_opcodes_are_not_implemented_and_a_reply_gets_no_reply(world: World) -> None:
    zones = Zones(REGIONS, lambda _check: True)
    status = dns.message.make_query("iris.models.mldr.test", "A")
    status.set_opcode(dns.opcode.STATUS)
    answered = reply(zones, status.to_wire(), 512)
    assert answered is not None
    assert dns.message.from_wire(answered).rcode() == dns.rcode.NOTIMP
    query = dns.message.make_query("iris.models.mldr.test", "A")
    assert reply(zones, dns.message.make_response(query).to_wire(), 512) is None


def test_a_taken_port_is_an_error(world: World) -> None:
    with pytest.raises(OSError, match="in use"):
        DnsServer(Zones(REGIONS, lambda _check: True), int(world.server.address.rpartition(":")[2]))


def test_a_checker_finds_the_address_behind_a_name(world: World) -> None:
    world.pair()
    zones = Zones(REGIONS, lambda _check: True)
    assert zones.address("iris.models.mldr.test") == "127.0.0.11"
    assert zones.address("nope.models.mldr.test") is None
    assert zones.address("x" * 70) is None


def test_the_stub_resolver_keeps_an_answer_for_its_ttl(world: World) -> None:
    world.pair()
    world.zone.rrsets = [record for record in world.zone.rrsets if record.type in ("NS", "SOA")]
    name = "iris.models.mldr.test"
    world.add(name, "CNAME", ACTIVE, ttl=1, SetIdentifier="p", Failover="PRIMARY", HealthCheckId="p")
    world.add(name, "CNAME", STANDBY, ttl=1, SetIdentifier="s", Failover="SECONDARY")
    address, ttl = resolve(name, world.server.address)
    assert address == "127.0.0.11"
    assert 0 < ttl <= 1
    world.unhealthy = {"p"}
    assert resolve(name, world.server.address)[0] == "127.0.0.11"
    time.sleep(1.1)
    assert resolve(name, world.server.address)[0] == "127.0.0.12"


def test_the_stub_resolver_says_that_a_name_does_not_exist(world: World) -> None:
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolve("nope.models.mldr.test", world.server.address)
