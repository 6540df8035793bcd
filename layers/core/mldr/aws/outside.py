"""The world as clients see it: DNS names and gateways over the public network. No AWS API, no credentials."""

from __future__ import annotations

import http.client
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from urllib.parse import urlencode

import dns.exception
import dns.resolver
from pydantic import ValidationError

from mldr.domain.health import Observation, Sight
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement
from mldr.domain.warming import MARK

TIMEOUT = 4.0  # seconds; Route 53's checkers give a connection as long
AT_ONCE = 1.0  # seconds; a health check waits for the peer's word, and its checker for two seconds
WITNESS_TIMEOUT = 6.0  # it waits for the gateway that it looks at as long as the rest of us
START = 10.0  # seconds; a gateway's environment that has yet to start answers late
LONGEST = 16 * 1024  # bytes that are read of an answer


class PublicNetwork:
    """Needs nothing but the network. `resolver` is ip:port, or empty for the system's; `transport` is scheme:port.

    The canaries of `zone` are read from its own name servers, where nothing is cached: a resolver that is asked for a
    name before Route 53 has spread it remembers for 15 minutes that there is none (RFC 2308; the SOA record's TTL and
    minimum: Route53/latest/DeveloperGuide/SOA-NSrecords). A given resolver answers for the zone itself.
    """

    def __init__(self, *, resolver: str, transport: str, zone: str = "") -> None:
        self._transport, _, port = transport.partition(":")
        self._port = int(port)
        self._zone = "" if resolver else zone
        self._resolver = dns.resolver.Resolver(configure=not resolver)
        if resolver:
            address, _, dns_port = resolver.partition(":")
            self._resolver.nameservers, self._resolver.port = [address], int(dns_port)
        self._resolver.lifetime = TIMEOUT

    def text(self, name: str) -> str | None:
        try:
            resolver = self._name_servers if self._zone else self._resolver
            return str(resolver.resolve(name, "TXT")[0].strings[0].decode())
        except dns.exception.DNSException:
            return None

    @cached_property
    def _name_servers(self) -> dns.resolver.Resolver:
        """Asks the zone's own servers; nothing is kept when they cannot be found."""
        hosts = [one.target for one in self._resolver.resolve(self._zone, "NS")]
        found = dns.resolver.Resolver(configure=False)
        found.nameservers = [address.to_text() for host in hosts for address in self._resolver.resolve(host, "A")]
        found.lifetime = TIMEOUT
        return found

    def probe(self, host: str, path: str) -> Observation:
        try:
            status = self._get(host, path)
        except (dns.exception.DNSException, socket.gaierror) as error:
            return _seen(Sight.UNKNOWN, f"{host} does not resolve: {error}")
        except (OSError, http.client.HTTPException) as error:
            return _seen(Sight.UNHEALTHY, f"{host}: {type(error).__name__} {error}")
        if status < 400:
            return _seen(Sight.HEALTHY, f"{host} answered {status}")
        # 4xx says that the question was wrong (route, rights), not that the model is down.
        sight = Sight.UNHEALTHY if status >= 500 else Sight.UNKNOWN
        return _seen(sight, f"{host} answered {status}")

    def ask_witness(self, witness: str, host: str, model: ModelKey, token: str) -> Observation:
        path = f"/witness/{model.name}?{urlencode({'host': host})}"
        try:
            headers = {"Authorization": f"Bearer {token}"}
            status, body = self._ask(witness, path, headers, WITNESS_TIMEOUT)
            if status != 200:
                return _witnessed(Sight.UNKNOWN, f"{witness} answered {status}")
            seen = Observation.stored(body)
        except (dns.exception.DNSException, OSError, http.client.HTTPException, ValidationError) as error:
            return _witnessed(Sight.UNKNOWN, f"{witness} cannot be asked: {type(error).__name__} {error}")
        return _witnessed(seen.sight, seen.detail)

    def _get(self, host: str, path: str) -> int:
        return self._ask(host, path, {}, TIMEOUT, longest=0)[0]

    def _ask(
        self, host: str, path: str, headers: dict[str, str], timeout: float, longest: int = LONGEST
    ) -> tuple[int, bytes]:
        connection = self._connection(host, timeout)
        try:
            connection.request("GET", path, headers={"Host": host, "User-Agent": "mldr-probe", **headers})
            response = connection.getresponse()
            return response.status, response.read(longest)
        finally:
            connection.close()

    def _connection(self, host: str, timeout: float = TIMEOUT) -> http.client.HTTPConnection:
        if self._transport == "https":
            return http.client.HTTPSConnection(host, self._port, timeout=timeout)
        address = self._resolver.resolve(host, "A")[0].to_text()
        return http.client.HTTPConnection(address, self._port, timeout=timeout)

    def target(self, name: str) -> str | None:
        try:
            answer = self._resolver.resolve(name, "CNAME")
        except dns.exception.DNSException:
            return None
        return str(answer[0].target).rstrip(".")

    def announcement(self, host: str, model: ModelKey) -> Announcement | None:
        try:
            status, body = self._ask(host, f"/models/{model.name}/epoch", {}, AT_ONCE)
            return Announcement.stored(body) if status == 200 else None
        except (dns.exception.DNSException, OSError, http.client.HTTPException, ValidationError):
            return None

    def warm(
        self, host: str, model: ModelKey, body: bytes, content_type: str, token: str, *, requests: int
    ) -> list[float]:
        headers = {
            "Host": host, "User-Agent": "mldr-warm", "Authorization": f"Bearer {token}", "Content-Type": content_type,
            MARK: "1",
        }  # fmt: skip
        ask = partial(self._warm, host, f"/models/{model.name}/invocations", body, headers)
        with ThreadPoolExecutor(requests) as pool:
            return [took for took in pool.map(lambda _: ask(), range(requests)) if took is not None]

    def _warm(self, host: str, path: str, body: bytes, headers: dict[str, str]) -> float | None:
        began = time.monotonic()
        try:
            connection = self._connection(host, START)
            try:
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                response.read()
            finally:
                connection.close()
        except (dns.exception.DNSException, OSError, http.client.HTTPException):
            return None
        return (time.monotonic() - began) * 1000 if response.status == 200 else None


def _seen(sight: Sight, detail: str) -> Observation:
    return Observation(vantage="standby", sight=sight, detail=detail)


def _witnessed(sight: Sight, detail: str) -> Observation:
    return Observation(vantage="witness", sight=sight, detail=detail)
