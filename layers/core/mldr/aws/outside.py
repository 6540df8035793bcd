"""The world as clients see it: DNS names and gateways over the public network. No AWS API, no credentials."""

from __future__ import annotations

import http.client
import socket

import dns.exception
import dns.resolver

from mldr.domain.health import Observation, Sight

TIMEOUT = 4.0  # seconds; Route 53's checkers give a connection as long


class PublicNetwork:
    """Needs nothing but the network. `resolver` is ip:port, or empty for the system's; `transport` is scheme:port."""

    def __init__(self, *, resolver: str, transport: str) -> None:
        self._transport, _, port = transport.partition(":")
        self._port = int(port)
        self._resolver = dns.resolver.Resolver(configure=not resolver)
        if resolver:
            address, _, dns_port = resolver.partition(":")
            self._resolver.nameservers, self._resolver.port = [address], int(dns_port)
        self._resolver.lifetime = TIMEOUT

    def text(self, name: str) -> str | None:
        try:
            return str(self._resolver.resolve(name, "TXT")[0].strings[0].decode())
        except dns.exception.DNSException:
            return None

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

    def _get(self, host: str, path: str) -> int:
        connection = self._connection(host)
        try:
            connection.request("GET", path, headers={"Host": host, "User-Agent": "mldr-probe"})
            return connection.getresponse().status
        finally:
            connection.close()

    def _connection(self, host: str) -> http.client.HTTPConnection:
        if self._transport == "https":
            return http.client.HTTPSConnection(host, self._port, timeout=TIMEOUT)
        address = self._resolver.resolve(host, "A")[0].to_text()
        return http.client.HTTPConnection(address, self._port, timeout=TIMEOUT)

    def target(self, name: str) -> str | None:
        try:
            answer = self._resolver.resolve(name, "CNAME")
        except dns.exception.DNSException:
            return None
        return str(answer[0].target).rstrip(".")


def _seen(sight: Sight, detail: str) -> Observation:
    return Observation(vantage="standby", sight=sight, detail=detail)
