"""A failback dies at each of its calls in turn, is asked for again, and ends as if nothing had happened."""

import pytest

from mldr.ports.stack import Status
from tests.functional.pair import HOME, Pair
from tests.functional.story import CHURN

PORTS = ("catalog", "vault", "registry", "own_endpoints", "serving", "policies", "outside", "bus", "evidence", "pager")


class Wire:
    """Counts the calls of one region's ports, and dies before or after one of them."""

    def __init__(self):
        self.count, self.dies_at, self.before, self.names = 0, None, True, []

    def wrap(self, name, port):
        return Wrapped(self, name, port)

    def call(self, name, method, arguments, named):
        self.count += 1
        self.names.append(name)
        dies = self.count == self.dies_at
        if dies and self.before:
            raise KeyboardInterrupt
        answer = method(*arguments, **named)
        if dies:
            raise KeyboardInterrupt
        return answer


class Wrapped:
    """A port whose calls are counted."""

    def __init__(self, wire, name, port):
        self._wire, self._name, self._port = wire, name, port

    def __getattr__(self, name):
        found = getattr(self._port, name)
        if not callable(found) or name.startswith("_"):
            return found
        return lambda *arguments, **named: self._wire.call(f"{self._name}.{name}", found, arguments, named)


def abroad(monkeypatch, context):
    """The standby serves, the home is back, and what it needs is sealed there."""
    pair = Pair(monkeypatch, context)
    pair.protected()
    pair.listen()
    pair.fail(pair.home)
    pair.request(pair.standby, "failover", "failover-1")
    pair.heal(pair.home)
    pair.listen()
    pair.protect(pair.home, pair.standby.catalog.records(CHURN)[-1].target_arn)
    return pair


def play(pair, wire):
    """Fail back with the home's calls on the wire; an execution that dies is started again by the same request."""
    plain = {name: getattr(pair.home, name) for name in PORTS}
    for name, port in plain.items():
        setattr(pair.home, name, wire.wrap(name, port))
    try:
        pair.request(pair.home, "failback", "home-1")
    except KeyboardInterrupt:
        pass
    finally:
        for name, port in plain.items():
            setattr(pair.home, name, port)


def again(pair):
    """The same request arrives once more, and whatever it starts runs to its end."""
    from tests.functional.story import deliver, run

    died = [name for name in pair.home.workflows.started if name.startswith("home-1")]
    if died:
        pair.home.workflows.ended[died[-1]] = Status.LOST
    detail, now = {"model": str(CHURN), "reason": "because"}, pair.home.clock.now().isoformat()
    event = {"id": "home-1", "source": "mldr", "detail-type": "Failback Requested", "time": now, "detail": detail}
    with pair.inside(pair.home):
        before = set(pair.home.workflows.started)
        assert deliver("start_failover", pair.context, event) == []
        for name in set(pair.home.workflows.started) - before:
            assert run(pair.home, pair.context, name, "failover").status == "SUCCEEDED"


def ending(pair):
    """Where everything stands, in both regions."""
    pair.listen()
    epoch, takeover = pair.home.catalog.epoch(CHURN), pair.home.catalog.takeover(CHURN)
    return {
        "epoch": (epoch.number, epoch.failover_id, epoch.concluded),
        "takeover": (takeover.epoch, takeover.endpoint, takeover.recovery_point),
        "endpoints": sorted(pair.home.serving.endpoints),
        "evidence": [(one.id, one.kind, one.outcome, one.epoch) for one in pair.home.evidence.records],
        "pages": pair.home.pager.pages,
        "standby": pair.standby.catalog.takeover(CHURN),
        "client": pair.predict(),
    }


@pytest.mark.parametrize("reused", [True, False], ids=["own endpoint", "restored endpoint"])
def test_a_failback_that_dies_at_any_call_is_made_good_by_the_same_request(monkeypatch, context, reused):
    def begin():
        pair = abroad(monkeypatch, context)
        if not reused:
            pair.home.own_endpoints.made_of.clear()
        return pair

    whole, wire = begin(), Wire()
    play(whole, wire)
    wanted = ending(whole)
    assert wanted["client"] == (200, HOME)
    assert wire.count > 40, wire.names
    wrong = []
    # Dying before any later call leaves what dying after the one before it leaves.
    for number, before in [(1, True), *((number, False) for number in range(1, wire.count + 1))]:
        pair, cut = begin(), Wire()
        cut.dies_at, cut.before = number, before
        play(pair, cut)
        assert pair.predict()[0] == 200, "a client noticed"
        again(pair)
        if (found := ending(pair)) != wanted:
            wrong.append((cut.names[-1], before, found))
    assert wrong == []
