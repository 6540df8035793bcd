"""Which of two regions serves a model, as far as one of them can know it.

Each region decides from its own catalog, and from what the other one was last seen to announce. Epochs are ballots:
the standby claims odd numbers and the home even ones, so the same epoch is never held twice, however little the two can
say to each other. The highest epoch whose switch was flipped serves; whoever learns of a higher one stands down.

A standby may answer beside the home that holds the epoch, with an endpoint that was proven. It holds nothing by that.
"""

from __future__ import annotations

import datetime as dt
from typing import Self

from pydantic import ConfigDict

from mldr.domain.failover import Kind, Takeover
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.routing import Route


class Announcement(Frozen):
    """What a region says of a model to its peer: the highest epoch whose flip it knows of, and who holds it.

    `holder` and `home` are empty while nobody told the region. `version` is the ARN, in the announcing region's
    registry, of what it serves by a takeover, `recovery_point` what of its own vault that was restored from;
    `endpoint` is what answers there then, and `component` which of its inference components; `share` are its instances
    by variant while it answered beside the home, None where it did not. What a newer release adds is ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    region: str
    epoch: int
    holder: str
    home: str
    kind: Kind
    since: dt.datetime | None
    route: Route | None
    version: str | None = None
    beside_counts: dict[str, int] | None = None  # instances by variant of what answers here beside the home
    recovery_point: str = ""
    endpoint: str = ""
    component: str = ""
    share: dict[str, int] | None = None


class Standing(Frozen):
    """What the peer was last seen to announce, and when this region learned that epoch. Only grows.

    `endpoint` is empty where nobody took over, and where an older release told of it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: int
    holder: str
    home: str
    kind: Kind
    since: dt.datetime | None
    route: Route | None
    version: str | None
    learned_at: dt.datetime
    recovery_point: str = ""
    endpoint: str = ""
    component: str = ""
    share: dict[str, int] | None = None

    @classmethod
    def of(cls, announcement: Announcement, learned_at: dt.datetime) -> Self:
        """Return what an announcement leaves in the catalog."""
        return cls.model_validate(
            {**announcement.model_dump(exclude={"model", "region", "beside_counts"}), "learned_at": learned_at}
        )


class Beside(Frozen):
    """The endpoint with which a standby answers beside the home: in service, and its golden answers were given.

    `counts` are its instances by variant while nobody has failed. `leaving` is when the policy wanted it no more: it
    answers on until DNS is forgotten.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    home: str
    endpoint: str
    recovery_point: str
    counts: dict[str, int]
    since: dt.datetime
    leaving: dt.datetime | None = None
    component: str = ""  # of the endpoint, where inference components answer

    @property
    def mark(self) -> str:
        """Return what tells this row from one that replaced it; another count alone is no other row."""
        return " ".join([self.endpoint, self.since.isoformat(), self.leaving.isoformat() if self.leaving else ""])


class Leadership(Frozen):
    """What a region's catalog knows: its own takeover, the one that it stood down from, and the peer's word.

    `beside` is what answers here while the home holds the epoch; only a standby has one.
    """

    takeover: Takeover | None = None
    former: Takeover | None = None
    standing: Standing | None = None
    beside: Beside | None = None

    @property
    def epoch(self) -> int:
        """Return the highest epoch whose flip is known; 0 while nobody ever took over."""
        mine = [one.epoch for one in (self.takeover, self.former) if one]
        return max([*mine, self.standing.epoch if self.standing else 0])

    def restored(self, role: Role) -> Takeover | Beside | None:
        """Return what says which restored endpoint answers in this role, None where none does."""
        return self.beside if role.beside else self.takeover

    def component(self, endpoint: str, role: Role, named: str) -> str:
        """Return the component that answers at an endpoint: of a restored one its own, of any other the `named` one."""
        rows = (self.restored(role), self.former)
        return next((one.component for one in rows if one and one.endpoint == endpoint), named)


class Role(Frozen):
    """What a region is to a model. `writer` may capture, register and restore for it in the name of its epoch.

    `serving` holds the epoch. `beside` answers clients too, and is no writer: the home holds the epoch.
    `draining` still answers predictions after a planned move, so that no client fails while DNS answers are kept.
    """

    serving: bool
    writer: bool
    draining: bool
    stood_down: bool
    beside: bool
    epoch: int
    holder: str
    reason: str


def home_of(region: str, knowledge: Leadership, route: Route | None) -> str:
    """Return the home of a model, '' while nobody told: its route says, or who announced it, or its own takeover."""
    if route:
        return route.active.region
    if knowledge.standing and knowledge.standing.home:
        return knowledge.standing.home
    switch = knowledge.takeover or knowledge.former
    if switch and switch.home:
        return switch.home
    return knowledge.beside.home if knowledge.beside else ""


def role(region: str, home: str, knowledge: Leadership, *, now: dt.datetime, drain: dt.timedelta) -> Role:
    """Return what a region is to a model. Without a home, which nobody has told, it goes on as if it were the home."""
    takeover, standing, beside = knowledge.takeover, knowledge.standing, knowledge.beside
    if beside and not home:
        home = beside.home
    if standing and standing.holder != region and standing.epoch > (takeover.epoch if takeover else 0):
        if beside and standing.holder == beside.home:
            return _beside(standing.epoch, region, beside)
        planned = standing.kind.planned and now - standing.learned_at < drain
        return _waiting(
            standing.epoch,
            standing.holder,
            draining=planned,
            stood_down=True,
            reason=f"stood down: epoch {standing.epoch} is held by {standing.holder} since {_since(standing)}",
        )
    if takeover:
        since = f"since {takeover.flipped_at:%Y-%m-%d %H:%M:%S}"
        return _serving(takeover.epoch, region, f"{region} serves, epoch {takeover.epoch}, {since}")
    if home in ("", region):
        return _serving(0, region, f"{region} serves, epoch 0: nobody took over")
    if beside and beside.home == home:
        return _beside(0, region, beside)
    return _waiting(0, home, draining=False, stood_down=False, reason=f"{home} serves, epoch 0: nobody took over")


def _serving(epoch: int, region: str, reason: str) -> Role:
    return Role(
        serving=True,
        writer=True,
        draining=False,
        stood_down=False,
        beside=False,
        epoch=epoch,
        holder=region,
        reason=reason,
    )


def _beside(epoch: int, region: str, beside: Beside) -> Role:
    told = f"{beside.home} serves, epoch {epoch}, and {region} answers beside it since"
    reason = f"{told} {beside.since:%Y-%m-%d %H:%M:%S}"
    return _waiting(epoch, beside.home, draining=False, stood_down=False, reason=reason, beside=True)


def _waiting(epoch: int, holder: str, *, draining: bool, stood_down: bool, reason: str, beside: bool = False) -> Role:
    return Role(
        serving=False,
        writer=False,
        draining=draining,
        stood_down=stood_down,
        beside=beside,
        epoch=epoch,
        holder=holder,
        reason=reason,
    )


def _since(standing: Standing) -> str:
    return f"{standing.since:%Y-%m-%d %H:%M:%S}" if standing.since else "ever"


def announce(
    model: ModelKey, region: str, knowledge: Leadership, *, route: Route | None, version: str | None
) -> Announcement:
    """Return what a region says of a model; `version` is what its own takeover serves."""
    told = _announced(model, region, knowledge, route=route, version=version)
    beside = knowledge.beside
    return told.model_copy(update={"beside_counts": beside.counts}) if beside and not beside.leaving else told


def _announced(
    model: ModelKey, region: str, knowledge: Leadership, *, route: Route | None, version: str | None
) -> Announcement:
    takeover, standing = knowledge.takeover, knowledge.standing
    home = home_of(region, knowledge, route)
    route = route or (standing.route if standing else None)
    if takeover and takeover.epoch >= (standing.epoch if standing else 0):
        return Announcement(
            model=str(model), region=region, epoch=takeover.epoch, holder=region, home=home, kind=takeover.kind,
            since=takeover.flipped_at, route=route, version=version,
            recovery_point=takeover.recovery_point, endpoint=takeover.endpoint, component=takeover.component,
            share=_share(takeover, knowledge.beside),
        )  # fmt: skip
    if standing and standing.epoch:
        told = standing.model_dump(exclude={"learned_at", "route", "home"})
        return Announcement.model_validate(
            {**told, "model": str(model), "region": region, "home": home, "route": route}
        )
    return Announcement(
        model=str(model), region=region, epoch=0, holder=home, home=home, kind=Kind.HOME, since=None, route=route
    )  # fmt: skip


def _share(takeover: Takeover, beside: Beside | None) -> dict[str, int] | None:
    """What answers beside the home is not counted anew while this region serves alone."""
    return beside.counts if beside and beside.endpoint == takeover.endpoint else None


def learned(before: Standing | None, announcement: Announcement, now: dt.datetime) -> Standing | None:
    """Return what to remember of an announcement, None when it tells nothing new.

    An older epoch tells nothing; nor does one that its holder cannot have claimed, or a region that knows no home.
    """
    if not announcement.home or not _possible(announcement):
        return None
    if before is None or announcement.epoch > before.epoch:
        return Standing.of(announcement, now)
    if announcement.epoch < before.epoch:
        return None
    same = Standing.of(announcement, before.learned_at)
    if announcement.route is None:
        same = same.model_copy(update={"route": before.route})
    return None if same == before else same


def _possible(announcement: Announcement) -> bool:
    """The standby holds odd epochs and the home even ones: anything else is a mistake and changes nothing."""
    return (announcement.epoch % 2 == 0) == (announcement.holder == announcement.home)


def overruled(knowledge: Leadership, region: str) -> bool:
    """Return whether this region's takeover is over: the peer was seen to announce a higher epoch of its own."""
    takeover, standing = knowledge.takeover, knowledge.standing
    return bool(takeover and standing and standing.holder != region and standing.epoch > takeover.epoch)
