"""A client's stub resolver: asks the given DNS server and keeps each answer for as long as its TTL allows."""

import threading
import time
from functools import lru_cache

import dns.resolver

LIFETIME = 3.0


class Resolver:
    """One DNS server and the answers that it has given; safe to share between threads."""

    def __init__(self, dns_address: str) -> None:
        host, _, port = dns_address.rpartition(":")
        self._stub = dns.resolver.Resolver(configure=False)
        self._stub.nameservers = [host]
        self._stub.port = int(port)
        self._stub.lifetime = LIFETIME
        self._stub.cache = dns.resolver.LRUCache()
        self._lock = threading.Lock()

    def resolve(self, name: str) -> tuple[str, float]:
        """An IPv4 address of the name and the seconds for which it may still be used."""
        with self._lock:
            answer = self._stub.resolve(f"{name.rstrip('.')}.", "A", search=False)
        addresses = [record.to_text() for record in answer]
        return addresses[0], max(0.0, answer.expiration - time.time())

    def text(self, name: str) -> str:
        """The first TXT string of the name."""
        with self._lock:
            answer = self._stub.resolve(f"{name.rstrip('.')}.", "TXT", search=False)
        return str(next(iter(answer)).to_text()).strip('"')


@lru_cache(maxsize=16)
def resolver(dns_address: str) -> Resolver:
    """The process's resolver for this DNS server, so that its cache is shared."""
    return Resolver(dns_address)


def resolve(name: str, dns_address: str) -> tuple[str, float]:
    """An IPv4 address of the name and the seconds for which it may still be used."""
    return resolver(dns_address).resolve(name)
