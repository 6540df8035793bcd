"""Make this region's gateway ready before traffic is moved to it: as many of its environments as are wanted, at once.

An execution environment reads the token and the policy, and opens its connections, when it first predicts. In a region
that stood by none has predicted yet, so the first clients would wait for all of that.
"""

from __future__ import annotations

from mldr.domain.identity import Frozen
from mldr.errors import MldrError
from mldr.events.failover import WarmTask
from mldr.ports.catalog import Catalog
from mldr.ports.outside import Outside, Tokens
from mldr.ports.vault import Vault
from mldr.steps.know_leader import front_of, known_route
from mldr.steps.prove_answers import golden_of
from mldr.steps.restore_serving import claimed_manifest

BURSTS = 2  # the first makes ready, the second shows it


class Ready(Frozen):
    """How many of the requests of the last burst were answered, and how late the last of them; milliseconds."""

    asked: int = 0
    answered: int = 0
    slowest: float = 0.0
    said: str = ""


def warm_gateway(
    task: WarmTask,
    *,
    region: str,
    catalog: Catalog,
    vault: Vault,
    outside: Outside,
    tokens: Tokens,
    environments: int,
) -> Ready:
    """Return how ready the gateway is. It never fails: a gateway that is not warm is slow once, and no reason to wait.

    What is sent is marked: it is no client's, the endpoint that it reaches may be any, and no answer is kept.
    """
    route = known_route(task.model, catalog.leadership(task.model), catalog)
    if route is None or not environments:
        return Ready(said="there is no gateway to warm")
    golden = golden_of(claimed_manifest(task, catalog, vault), vault)
    body, content_type = (golden[0].body(), golden[0].content_type) if golden else (b"", "application/json")
    try:
        token = tokens.present()
    except MldrError as error:
        return Ready(said=f"the gateway is not warmed: {type(error).__name__}: {error}")
    took: list[float] = []
    for _ in range(BURSTS):
        host = front_of(route, region).host
        took = outside.warm(host, task.model, body, content_type, token, requests=environments)
    return Ready(asked=environments, answered=len(took), slowest=round(max(took, default=0.0), 1))
