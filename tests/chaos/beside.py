"""The laws of an active-active model: the standby answers beside the home only what was proven, and both do again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mldr.domain.endpoint_status import IN_SERVICE
from mldr.domain.leadership import Leadership
from tests.chaos.region import Region
from tests.chaos.schedule import HOME, STANDBY

if TYPE_CHECKING:
    from tests.chaos.lane import Lane

BESIDE = "proven beside"
KEPT = "what answers is kept"
BOTH_AGAIN = "both answer again"


class Beside:
    """Knows what may answer beside the home. `acts` are the calls of ports that it has to hear of."""

    def __init__(self, lane: Lane, at_stake: Callable[[str], None], violate: Callable[[str, str], None]) -> None:
        self._lane, self._at_stake, self._violate = lane, at_stake, violate
        self._good: set[tuple[str, int | None]] = set()  # proven, by name and how often it was made
        self.acts: dict[str, Callable[[Region, tuple[Any, ...]], None]] = {
            "catalog.put_beside": self._put,
            "catalog.withdraw_beside": self._withdrawn,
            "standing_endpoints.delete": self._deleted,
            "dns.ensure_records": self._shared,
        }

    def _put(self, region: Region, given: tuple[Any, ...]) -> None:
        _, row, previous = given
        if previous is not None and row.since == previous.since:
            return  # another count, or leaving
        self._at_stake(BESIDE)
        call = region.call
        if row.endpoint not in call.asked or not call.answers[-1]:  # the first ones only made it warm
            self._violate(BESIDE, f"{row.endpoint} is to answer beside the home, unproven: {call.answers}")
        self._good.add((row.endpoint, region.endpoints.made.get(row.endpoint)))
        self._lane.say(f"{region.side}: {row.endpoint} answers beside the home")

    def _withdrawn(self, region: Region, given: tuple[Any, ...]) -> None:
        row = given[1]
        self._at_stake(KEPT)
        if self._lane.network.spread and region.endpoints.status(row.endpoint)[0] == IN_SERVICE:
            self._violate(KEPT, f"{row.endpoint} stops answering, and clients are still sent to the standby")
        self._lane.say(f"{region.side}: {row.endpoint} does not answer beside the home any more")

    def _deleted(self, region: Region, given: tuple[Any, ...]) -> None:
        endpoint = given[0]
        self._at_stake(KEPT)
        knowledge = region.knowledge()
        answering = [one.endpoint for one in (knowledge.takeover, knowledge.beside) if one]
        if endpoint in answering:
            self._violate(KEPT, f"{region.side} deleted {endpoint}, which answers clients")
        self._lane.say(f"{region.side}: deleted {endpoint}")

    def _shared(self, region: Region, given: tuple[Any, ...]) -> None:
        if any(one.weight is not None for one in given[0]):
            self._at_stake(BESIDE)
            if region.knowledge().beside is None:
                self._violate(BESIDE, "clients are sent to the standby, and nothing answers there")
            self._lane.say(f"{region.side}: the name is shared")

    def answers(self, region: Region, knowledge: Leadership, endpoint: str) -> bool:
        """Whether a region answered beside the home, with an endpoint that has to be proven for that."""
        beside = knowledge.beside
        if region.is_home or knowledge.takeover or beside is None or beside.endpoint != endpoint:
            return False
        if knowledge.epoch % 2 or (knowledge.standing and knowledge.standing.holder == region.name):
            return False  # it held the newest epoch itself: that is no place beside the home
        self._at_stake(BESIDE)
        if (endpoint, region.endpoints.made.get(endpoint)) not in self._good:
            self._violate(BESIDE, f"{region.side} answers with {endpoint}, which nobody proved since it was made")
        return True

    def unsettled(self, holder: Region) -> str:
        """Why DNS does not answer as the policy wants: the holder, and where both answer the standby, too."""
        lane = self._lane
        standby, named = lane.sides[STANDBY], [one.side for one in lane.network.answers()]
        claimed = standby.catalog.epoch(standby.model)
        if claimed is not None and not claimed.concluded:  # its execution died: for hours tiers leave it alone
            return "" if holder.side in named else f"{holder.side} serves; DNS answers {named}"
        both = lane.both and holder.is_home
        if both:
            self._at_stake(BOTH_AGAIN)
        if named != ([HOME, STANDBY] if both else [holder.side]):
            return f"{holder.side} serves{', both should answer' if both else ''}; DNS answers {named}"
        if holder.is_home and not both and (lane.network.spread or standby.knowledge().beside):
            return "one region should answer, and the standby still answers beside the home"
        status = lane.predict(standby)[0] if both else 200
        return "" if status == 200 else f"the standby answers {status} beside the home"
