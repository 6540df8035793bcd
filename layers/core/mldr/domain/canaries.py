"""What the canaries of a model say: records beside its name, with which Route 53 tells what its checkers believe."""

from __future__ import annotations

from mldr.domain import routing
from mldr.domain.health import Observation, Sight


def read_canary(name: str, text: str | None) -> Observation:
    """Return what Route 53's checkers think of the endpoint, from the text of a model's health canary."""
    match text:
        case routing.HEALTHY:
            return _route53(Sight.HEALTHY, "its checkers reach the endpoint")
        case routing.UNHEALTHY:
            return _route53(Sight.UNHEALTHY, "its checkers do not reach the endpoint")
    return _unclear(name, text)


def read_switch(name: str, text: str | None) -> Observation:
    """Return what Route 53's checkers think of a region that took over, from the text of a model's switch canary.

    `on` says that its gateway announces the takeover, which is no word about the endpoint behind it.
    """
    match text:
        case routing.ON:
            return _route53(Sight.UNKNOWN, "its checkers reach the gateway; the switch says nothing of the endpoint")
        case routing.OFF:
            return _route53(Sight.UNHEALTHY, "its checkers do not reach the takeover that this region knows of")
    return _unclear(name, text)


def _unclear(name: str, text: str | None) -> Observation:
    return _route53(Sight.UNKNOWN, f"{name} says {text or 'nothing'}")


def _route53(sight: Sight, detail: str) -> Observation:
    return Observation(vantage="route53", sight=sight, detail=detail)
