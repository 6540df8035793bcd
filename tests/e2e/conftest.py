"""One local cloud for the whole session, and models whose stories run side by side in it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mldr.aws.catalog import DynamoCatalog
from mldr.domain.recovery_point import Phase, Record
from tests.e2e.cloud import ACTIVE, GLOBAL, LocalCloud, key, running, wait_for
from tests.e2e.inbox import Events, Pages
from tests.e2e.owner import Owner

POLICY = Path(__file__).parent / "policy.yaml"
# It brings home what the outage of a region left abroad; then either region fails for a while without the automatic
# models having a home to leave; what was granted and never used is known when all has run.
LAST = ("test_failback.py", "test_region_failover.py", "test_active_active.py", "test_least_privilege.py")
SERVED = ("churn", "pricing", "forecast", "courier")
DOCKER_HUB = "docker.io/library/python:3.13"
OUR_IMAGE = "123456789012.dkr.ecr.ap-southeast-1.amazonaws.com/scoring:7"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Some stories come last, in this order."""
    items.sort(key=lambda item: LAST.index(item.path.name) + 1 if item.path.name in LAST else 0)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Two regions, deployed; the watch is on."""
    with running(tmp_path_factory.mktemp("cloud"), POLICY) as made:
        yield made


@pytest.fixture(scope="session")
def home(cloud: LocalCloud) -> DynamoCatalog:
    """The home region's catalog."""
    return cloud.catalog_of(ACTIVE)


@pytest.fixture(scope="session")
def events(cloud: LocalCloud) -> Events:
    """What mldr says on the standby's bus."""
    return Events(cloud)


@pytest.fixture(scope="session")
def pages(cloud: LocalCloud) -> Pages:
    """What reaches the person on call."""
    return Pages(cloud)


@pytest.fixture(scope="session")
def owner(cloud: LocalCloud, events: Events, pages: Pages) -> Owner:
    """The owner of all models, who promotes each of them at the start."""
    made = Owner(cloud)
    made.move_in()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda publish: publish(), _stories(made)))
    return made


def _stories(owner: Owner) -> list[Callable[[], object]]:
    """What is wrong with `ghost` (no artifact), `foreign` and `scoring` (images) is for their tests to tell."""

    def publish(name: str) -> None:
        owner.publish(name, served=name in SERVED, lie=name == "liar")

    def scoring() -> None:
        owner.upload("scoring")
        owner.promote("scoring", image=OUR_IMAGE)

    def foreign() -> None:
        owner.upload("foreign")
        owner.promote("foreign", image=DOCKER_HUB)

    def retired() -> None:
        owner.upload_with_care("retired")
        owner.promote("retired")

    whole = [lambda name=name: publish(name) for name in (*SERVED, "auction", "liar")]
    return [*whole, lambda: owner.promote("ghost"), scoring, foreign, retired]


@pytest.fixture(scope="session")
def protected(cloud: LocalCloud, owner: Owner, events: Events) -> Callable[[str], Record]:
    """Waits until a model is sealed and has its name; its recovery point."""

    def newest(name: str) -> Record:
        events.wait("Recovery Point Sealed", name, seconds=90)
        points = cloud.catalog.records(key(name))
        return next(point for point in points if point.phase is Phase.SEALED)

    return newest


@pytest.fixture(scope="session")
def failed(cloud: LocalCloud, owner: Owner) -> Callable[..., Record]:
    """Waits until the newest attempt at a model's recovery point has failed; its record."""

    def record(name: str, attempt: int = 1) -> Record:
        def found() -> Record | None:
            points = cloud.catalog.records(key(name))
            return next((p for p in points if p.phase is Phase.FAILED and p.attempt >= attempt), None)

        point: Record = wait_for(f"{name} FAILED, attempt {attempt}", found, 90, lambda: cloud.story(name))
        return point

    return record


@pytest.fixture
def outage(cloud: LocalCloud) -> Iterator[Callable[..., float]]:
    """Takes regions down and says when; they are healed whatever becomes of the test."""

    def fail(*regions: str) -> float:
        at = time.time()
        cloud.fail(*regions)
        return at

    yield fail
    cloud.heal(ACTIVE, GLOBAL)
