"""Show Route 53's checkers who serves each model, by metrics: what the gateway would answer them, every minute."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

from mldr.domain.identity import ModelKey
from mldr.domain.lag import Measured
from mldr.domain.switches import of_home, of_standby, total
from mldr.errors import MldrError
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Metrics, PolicyStore
from mldr.steps.deep_health import DeepHealth
from mldr.steps.know_leader import Leaders, home_known
from mldr.steps.serve_gateway import health, takeover

SIDE_BY_SIDE = 64  # most of them wait: for a peer that is silent, for a golden answer
BATCH = 100  # models whose figures are published together: what comes late keeps none of them from being seen


def show_switches(
    *, catalog: Catalog, leaders: Leaders, policies: PolicyStore, deep: DeepHealth, metrics: Metrics
) -> list[Measured]:
    """Return what was published. A model that nothing can be told of is left out, and keeps the others from nothing.

    It asks the peer who serves, as the gateway does when a checker asks it: nobody else does where none may.
    """

    def one(model: ModelKey) -> list[Measured]:
        switch = takeover(model, leaders=leaders).status
        home, beside = _known(model, catalog, leaders)
        if home != leaders.region and not beside:
            return of_standby(model, switch)
        seen = health(model, leaders=leaders, policies=policies, deep=deep).status
        return of_home(model, switch, seen) if home == leaders.region else of_standby(model, switch, seen)

    made: list[Measured] = []
    shown = 0
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        looks = as_completed([pool.submit(one, model) for model in catalog.known_models()])
        while batch := list(islice(looks, BATCH)):
            found = [figures for look in batch if (figures := look.result())]
            shown += len(found)
            figures = [figure for figures in found for figure in figures]
            metrics.publish(figures)
            made += figures
    metrics.publish([total(shown)])
    return [*made, total(shown)]


def _known(model: ModelKey, catalog: Catalog, leaders: Leaders) -> tuple[str, bool]:
    """Return the model's home, '' when that cannot be told, and whether this region answers beside it."""
    try:
        knowledge = leaders.known(model)
        return home_known(leaders.region, model, knowledge, catalog), knowledge.beside is not None
    except MldrError:
        return "", False
