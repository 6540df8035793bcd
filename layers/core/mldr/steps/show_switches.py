"""Show Route 53's checkers who serves each model, by metrics: what the gateway would answer them, every minute."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from mldr.domain.identity import ModelKey
from mldr.domain.lag import Measured
from mldr.domain.switches import of_home, of_standby, total
from mldr.errors import MldrError
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Metrics, PolicyStore
from mldr.steps.deep_health import DeepHealth
from mldr.steps.know_leader import Leaders, home_known
from mldr.steps.serve_gateway import health, takeover

SIDE_BY_SIDE = 16


def show_switches(
    *, catalog: Catalog, leaders: Leaders, policies: PolicyStore, deep: DeepHealth, metrics: Metrics
) -> list[Measured]:
    """Return what was published. A model that nothing can be told of is left out, and keeps the others from nothing.

    It asks the peer who serves, as the gateway does when a checker asks it: nobody else does where none may.
    """
    models = {str(model): model for model in catalog.models()}
    models |= {str(model): model for model, _ in catalog.standings()}

    def one(model: ModelKey) -> list[Measured]:
        switch = takeover(model, leaders=leaders).status
        home, beside = _known(model, catalog, leaders)
        if home != leaders.region and not beside:
            return of_standby(model, switch)
        seen = health(model, leaders=leaders, policies=policies, deep=deep).status
        return of_home(model, switch, seen) if home == leaders.region else of_standby(model, switch, seen)

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        found = [figures for figures in pool.map(one, models.values()) if figures]
    made = [*(figure for figures in found for figure in figures), total(len(found))]
    metrics.publish(made)
    return made


def _known(model: ModelKey, catalog: Catalog, leaders: Leaders) -> tuple[str, bool]:
    """Return the model's home, '' when that cannot be told, and whether this region answers beside it."""
    try:
        knowledge = leaders.known(model)
        return home_known(leaders.region, model, knowledge, catalog), knowledge.beside is not None
    except MldrError:
        return "", False
