"""A home whose standby is lost carries the load of both, whenever its watch dies, and asks its own region alone."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from moto.sns.models import sns_backends

from localcloud.edge.addresses import ACCOUNT
from mldr.aws.survivors import DynamoSurvivors
from mldr.domain.survivor import Survivor
from tests.functional.crash.story import MODEL, PAUSE, ROUNDS, Story
from tests.functional.crash.two_regions import ACTIVE, STANDBY, client
from tests.functional.crash.wire import Call, Cut, Died

ROUND = {"round": 0, "rounds": 1, "pause": PAUSE}
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/churn/variant/all",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


class Home:
    """The active region, whose endpoint has three instances and may have four, beside a standby that has three."""

    def __init__(self, story: Story) -> None:
        story.begin("shared")
        for _ in range(4):
            story.converge()
            story.regions.pass_time()
        self.regions = story.regions
        _mend_the_pager()
        assert self.regions.gateway(ACTIVE, f"/models/{MODEL.name}/health")[0] == 200
        self.watch()
        self.lose_the_standby()
        for _ in range(ROUNDS - 1):
            self.watch()
        self.saved = self.regions.save()
        self.begin()

    def begin(self) -> None:
        """All rounds but the deciding one have seen the standby down."""
        self.regions.restore(self.saved)
        _mend_the_pager()
        self.lose_the_standby()
        client("application-autoscaling", ACTIVE).register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)

    def lose_the_standby(self) -> None:
        self.regions.down = {STANDBY}
        self.regions.wire.refuses = lambda _, region, __: region not in (ACTIVE, "")

    def find_the_standby(self) -> None:
        self.regions.down, self.regions.wire.refuses = set(), None

    def watch(self) -> None:
        """One round, with its calls on the wire."""
        self.regions.ahead += dt.timedelta(seconds=PAUSE)
        self.regions.pass_time()
        self.regions.wire.open("decide_failover")
        try:
            self.regions.call("decide_failover", ROUND, ACTIVE)
            if self.regions.wire.dead:
                raise Died
        finally:
            self.regions.wire.close()

    @property
    def count(self) -> int:
        [variant] = client("sagemaker", ACTIVE).describe_endpoint(EndpointName=MODEL.name)["ProductionVariants"]
        return int(variant["DesiredInstanceCount"])

    @property
    def most(self) -> int:
        [found] = client("application-autoscaling", ACTIVE).describe_scalable_targets(ServiceNamespace="sagemaker")[
            "ScalableTargets"
        ]
        return int(found["MaxCapacity"])

    @property
    def row(self) -> Survivor:
        return DynamoSurvivors(client("dynamodb", ACTIVE), table="mldr-prod-catalog").of(MODEL)


def _mend_the_pager() -> None:
    """What was restored is a copy, and moto's topics know the backend that was copied."""
    backend = sns_backends[ACCOUNT][ACTIVE]
    for topic in backend.topics.values():
        topic.sns_backend = backend


@pytest.fixture
def home(story: Story) -> Any:
    made = Home(story)
    yield made
    made.find_the_standby()


def test_it_scales_and_gives_back_by_calls_of_its_own_region_alone(home: Home) -> None:
    """Law 1: what is asked for while the other region is lost is asked of nobody else, and of no control plane."""
    home.watch()
    assert (home.count, home.most) == (6, 6)
    home.watch()
    calls = {(call.service, call.operation) for call in home.regions.wire.calls}
    assert {call.region for call in home.regions.wire.calls} == {ACTIVE, ""}, "'' is DNS and HTTPS"
    assert {one for one in calls if not one[1].startswith(("Describe", "Get", "Query", "List"))} == {
        ("application-autoscaling", "RegisterScalableTarget"),
        ("dns", "TXT"),
        ("dynamodb", "PutItem"),
        ("http", "GET"),
        ("sagemaker", "UpdateEndpointWeightsAndCapacities"),
        ("sns", "Publish"),
    }
    home.find_the_standby()
    for _ in range(ROUNDS + 1):
        home.watch()
    assert (home.count, home.most, home.row.growth) == (3, 4, None)


def test_whenever_the_deciding_round_dies_the_next_ones_end_it(home: Home) -> None:
    home.watch()
    cuts = [*home.regions.wire.calls]
    assert len(cuts) > 10
    for call in cuts:
        home.begin()
        assert died(home, call), f"{call} was not reached again"
        assert home.count in (3, 6), call
        growth = home.row.growth
        assert growth or home.count == 3, f"{call}: scaled, and nobody knows from what"
        home.watch()
        home.watch()
        growth = home.row.growth
        assert growth, call
        found = (home.count, home.most, growth.before, growth.wanted, growth.limits, bool(growth.scaled_at))
        assert found == (6, 6, {"all": 3}, {"all": 6}, {"all": 4}, True), call


def died(home: Home, call: Call) -> bool:
    """Whether the round died after this call."""
    home.regions.wire.cut = Cut(call)
    try:
        home.watch()
    except Died:
        return True
    finally:
        home.regions.wire.cut = None
    return False
