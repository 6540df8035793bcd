"""Canaries: what Route 53's checkers believe, as DNS tells it."""

import pytest

from mldr.domain.canaries import read_canary, read_switch
from mldr.domain.health import Sight

H, U, X = Sight.HEALTHY, Sight.UNHEALTHY, Sight.UNKNOWN


@pytest.mark.parametrize(("text", "sight"), [("healthy", H), ("unhealthy", U), (None, X), ("", X), ("Healthy", X)])
def test_a_canary_says_what_route_53_believes(text, sight):
    assert read_canary("_health.churn.example", text).sight is sight


@pytest.mark.parametrize(("text", "sight"), [("on", X), ("off", U), (None, X), ("healthy", X)])
def test_the_switch_of_the_peer_says_that_its_gateway_is_gone_and_never_that_its_endpoint_is_well(text, sight):
    assert read_switch("_switch.churn.example", text).sight is sight
