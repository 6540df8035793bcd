"""Every Catalog keeps the same promises, on memory and on DynamoDB: conditions above all."""

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from mldr.aws.catalog import DynamoCatalog
from mldr.domain.capacity import Capacity
from mldr.domain.failover import Epoch, Kind, Takeover
from mldr.domain.health import Ask, HealthState, Sight
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Beside, Leadership, Standing
from mldr.domain.manifests import ShardRef
from mldr.domain.recovery_point import Origin, Phase, Record
from mldr.domain.routing import CheckTimes, Front, plan_route
from mldr.domain.tiers import Leaving
from mldr.domain.transfers import Transfer, WorkItem
from mldr.errors import EpochTaken, LostRace, RegionUnreachable, Throttled
from tests.fakes.catalog import FakeCatalog

SERVICE = "dynamodb"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
OTHER = ModelKey(registry="sagemaker", name="churn-2")
ORIGIN = Origin(region="ap-southeast-1", version="1", arn="arn:aws:x", promoted_at=NOW)
RECORD = Record(
    model=CHURN,
    recovery_point="v1-abc",
    phase=Phase.CAPTURING,
    attempt=0,
    origin=ORIGIN,
    started_at=NOW,
    warnings=("w",),
)
FIRST = Epoch(number=1, failover_id="first", region="ap-southeast-3", recovery_point="v1-0", claimed_at=NOW)
SECOND = Epoch(number=2, failover_id="second", region="ap-southeast-3", recovery_point="v1-0", claimed_at=NOW)
FRONTS = [Front(region=name, host=f"h.{name}", target=f"t.{name}") for name in ("ap-southeast-1", "ap-southeast-3")]
ROUTE = plan_route(
    CHURN,
    "models.example",
    active=FRONTS[0],
    standby=FRONTS[1],
    times=CheckTimes(interval=10, threshold=3, ttl=30),
)
SWITCH = Takeover(epoch=1, endpoint="churn-e1", recovery_point="v1-abc", flipped_at=NOW)


def table(cloud):
    """The table as template.yaml has it."""
    cloud.client("dynamodb").create_table(
        TableName="catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "open")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open-claims",
                "KeySchema": [{"AttributeName": "open", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    return DynamoCatalog(cloud.client("dynamodb"), table="catalog")


@pytest.fixture
def catalog(backend):
    return table(backend) if backend else FakeCatalog()


def in_phase(phase, record=RECORD, **changes):
    return record.model_copy(update={"phase": phase, **changes})


def outcomes(action, count=8):
    """What `count` threads got at once: a result, or the error that they lost by."""

    def one(number):
        try:
            return action(number)
        except (LostRace, EpochTaken) as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


# recovery points


def test_a_begun_record_is_read_back_whole(catalog):
    assert catalog.begin(RECORD) == RECORD
    assert catalog.record(CHURN, "v1-abc") == RECORD
    assert catalog.records(CHURN) == [RECORD]


def test_nothing_is_known_of_what_nobody_began(catalog):
    assert catalog.record(CHURN, "v1-abc") is None
    assert (catalog.records(CHURN), catalog.models()) == ([], [])
    assert (catalog.epoch(CHURN), catalog.takeover(CHURN), catalog.route(CHURN)) == (None, None, None)


def test_beginning_again_returns_what_is_there(catalog):
    catalog.begin(RECORD)
    resumed = catalog.resume(RECORD, 0)
    assert catalog.begin(in_phase(Phase.CAPTURING, started_at=NOW + dt.timedelta(hours=1))) == resumed


def test_of_eight_beginnings_all_see_the_same_record(catalog):
    seen = outcomes(lambda number: catalog.begin(in_phase(Phase.CAPTURING, reason=str(number))))
    assert len({record.reason for record in seen}) == 1
    assert catalog.records(CHURN) == [seen[0]]


def test_models_and_points_are_kept_apart(catalog):
    other = RECORD.model_copy(update={"model": OTHER})
    second = RECORD.model_copy(update={"recovery_point": "v2-def"})
    for record in (RECORD, other, second):
        catalog.begin(record)
    assert catalog.models() == [CHURN, OTHER]
    assert catalog.records(CHURN) == [RECORD, second]
    assert catalog.records(OTHER) == [other]


def test_many_points_are_all_listed(catalog):
    for number in range(120):
        catalog.begin(RECORD.model_copy(update={"recovery_point": f"v{number:03d}", "warnings": ("x" * 9000,)}))
    assert len(catalog.records(CHURN)) == 120


def test_a_resumed_attempt_counts_up_and_forgets_the_reason(catalog):
    catalog.begin(RECORD)
    failed = in_phase(Phase.FAILED, reason="it broke")
    catalog.advance(failed)
    again = catalog.resume(failed, 0)
    assert (again.attempt, again.phase, again.reason) == (1, Phase.CAPTURING, "")
    assert catalog.record(CHURN, "v1-abc") == again


def test_of_eight_resumptions_one_wins(catalog):
    catalog.begin(RECORD)
    got = outcomes(lambda number: catalog.resume(RECORD, 0))
    assert sum(isinstance(one, LostRace) for one in got) == 7
    assert catalog.record(CHURN, "v1-abc").attempt == 1


def test_a_stale_attempt_is_refused(catalog):
    catalog.begin(RECORD)
    current = catalog.resume(RECORD, 0)
    with pytest.raises(LostRace, match="attempt 0 is over"):
        catalog.advance(in_phase(Phase.SEALED))
    assert catalog.record(CHURN, "v1-abc") == current


def test_a_record_that_nobody_began_cannot_be_advanced(catalog):
    with pytest.raises(LostRace):
        catalog.advance(RECORD)
    assert catalog.record(CHURN, "v1-abc") is None


def test_a_sealed_record_is_never_written_again(catalog):
    catalog.begin(RECORD)
    sealed = in_phase(Phase.SEALED, sealed_at=NOW, manifest_version="m1", objects=2, bytes=9)
    catalog.advance(sealed)
    for write in (lambda: catalog.advance(in_phase(Phase.FAILED)), lambda: catalog.resume(sealed, 0)):
        with pytest.raises(LostRace, match="sealed"):
            write()
    assert catalog.record(CHURN, "v1-abc") == sealed


def test_an_annotation_changes_one_field_in_any_phase(catalog):
    catalog.begin(RECORD)
    catalog.advance(in_phase(Phase.SEALED, sealed_at=NOW))
    catalog.annotate(CHURN, "v1-abc", target_arn="arn:target")
    catalog.annotate(CHURN, "v1-abc", withdrawn="the registry says Rejected", reason="why")
    noted = catalog.record(CHURN, "v1-abc")
    assert (noted.target_arn, noted.withdrawn, noted.reason) == ("arn:target", "the registry says Rejected", "why")
    assert (noted.phase, noted.restorable) == (Phase.SEALED, False)


def test_an_annotation_is_taken_back(catalog):
    catalog.begin(RECORD)
    catalog.annotate(CHURN, "v1-abc", withdrawn="Rejected", reason="why")
    catalog.annotate(CHURN, "v1-abc", withdrawn=None, reason="")
    assert catalog.record(CHURN, "v1-abc") == RECORD


def test_an_unknown_record_cannot_be_annotated(catalog):
    with pytest.raises(LostRace, match="unknown"):
        catalog.annotate(CHURN, "v1-abc", reason="why")
    assert catalog.records(CHURN) == []


def test_a_withdrawal_noted_meanwhile_survives_the_next_write(catalog):
    """A step that read the record before the rejection writes it after: the rejected point must not be restorable."""
    catalog.begin(RECORD)
    catalog.annotate(CHURN, "v1-abc", withdrawn="Rejected", target_arn="arn:target")
    catalog.advance(in_phase(Phase.SEALED, sealed_at=NOW))
    noted = catalog.record(CHURN, "v1-abc")
    assert (noted.phase, noted.withdrawn, noted.target_arn) == (Phase.SEALED, "Rejected", "arn:target")


def test_a_withdrawal_that_was_taken_back_stays_taken_back(catalog):
    """The record was read while it was withdrawn, and written by the attempt that the new approval began."""
    catalog.begin(RECORD)
    catalog.annotate(CHURN, "v1-abc", withdrawn="Rejected")
    read = catalog.record(CHURN, "v1-abc")
    catalog.annotate(CHURN, "v1-abc", withdrawn=None)
    assert catalog.resume(read, 0).withdrawn is None
    assert catalog.record(CHURN, "v1-abc").withdrawn is None


def test_a_tag_is_noted_survives_the_next_write_and_is_taken_back(catalog):
    catalog.begin(RECORD.model_copy(update={"criticality_tag": "important"}))
    catalog.annotate(CHURN, "v1-abc", tier_tag="warm-standby")
    catalog.advance(in_phase(Phase.SEALED, sealed_at=NOW))
    assert catalog.record(CHURN, "v1-abc").tags == {"mldr:tier": "warm-standby", "mldr:criticality": "important"}
    catalog.annotate(CHURN, "v1-abc", tier_tag=None, criticality_tag=None)
    assert catalog.record(CHURN, "v1-abc").tags == {}


def test_damage_is_noted_survives_the_next_write_and_is_taken_back(catalog):
    catalog.begin(RECORD)
    catalog.annotate(CHURN, "v1-abc", damaged="damaged: weights")
    catalog.advance(in_phase(Phase.SEALED, sealed_at=NOW))
    noted = catalog.record(CHURN, "v1-abc")
    assert (noted.phase, noted.damaged, noted.restorable) == (Phase.SEALED, "damaged: weights", False)
    catalog.annotate(CHURN, "v1-abc", damaged=None)
    assert catalog.record(CHURN, "v1-abc").restorable


# who serves


def test_a_claimed_epoch_is_read_back(catalog):
    catalog.claim(CHURN, FIRST, None)
    assert catalog.epoch(CHURN) == FIRST
    catalog.claim(CHURN, SECOND, FIRST)
    assert (catalog.epoch(CHURN), catalog.epoch(OTHER)) == (SECOND, None)


@pytest.mark.parametrize("previous", [None, SECOND, FIRST.model_copy(update={"failover_id": "x"})])
def test_a_claim_over_anything_but_the_current_epoch_is_lost(catalog, previous):
    catalog.claim(CHURN, FIRST, None)
    with pytest.raises(LostRace, match="claimed epoch 2 first"):
        catalog.claim(CHURN, SECOND, previous)
    assert catalog.epoch(CHURN) == FIRST


def test_a_claim_over_an_epoch_that_never_was_is_lost(catalog):
    with pytest.raises(LostRace):
        catalog.claim(CHURN, SECOND, FIRST)
    assert catalog.epoch(CHURN) is None


@pytest.mark.parametrize("previous", [None, FIRST])
def test_of_eight_claims_at_once_one_wins(catalog, previous):
    if previous:
        catalog.claim(CHURN, previous, None)
    got = outcomes(
        lambda number: catalog.claim(CHURN, SECOND.model_copy(update={"failover_id": f"f-{number}"}), previous)
    )
    winners = [number for number, one in enumerate(got) if one is None]
    assert len(winners) == 1
    assert catalog.epoch(CHURN).failover_id == f"f-{winners[0]}"


def test_an_epoch_is_concluded_by_its_holder_only(catalog):
    catalog.claim(CHURN, FIRST, None)
    catalog.conclude(CHURN, FIRST)
    assert catalog.epoch(CHURN).concluded
    catalog.claim(CHURN, SECOND, FIRST)
    with pytest.raises(LostRace, match="newer epoch"):
        catalog.conclude(CHURN, FIRST)
    assert catalog.epoch(CHURN) == SECOND


def test_only_claims_that_are_open_are_listed(catalog):
    assert catalog.open_claims() == []
    catalog.claim(OTHER, FIRST, None)
    catalog.claim(CHURN, FIRST, None)
    assert catalog.open_claims() == sorted([CHURN, OTHER], key=str)
    catalog.conclude(CHURN, FIRST)
    assert catalog.open_claims() == [OTHER]
    catalog.claim(OTHER, SECOND, FIRST)
    assert catalog.open_claims() == [OTHER], "the newer claim, once"
    catalog.conclude(OTHER, SECOND)
    assert catalog.open_claims() == []


def test_the_switch_flips_while_the_epoch_is_current(catalog):
    catalog.claim(CHURN, FIRST, None)
    catalog.flip(CHURN, SWITCH, FIRST)
    assert (catalog.takeover(CHURN), catalog.takeover(OTHER)) == (SWITCH, None)


@pytest.mark.parametrize("held", [None, SECOND])
def test_the_switch_refuses_an_old_epoch(catalog, held):
    if held:
        catalog.claim(CHURN, FIRST, None)
        catalog.claim(CHURN, held, FIRST)
    with pytest.raises(EpochTaken, match="epoch 1 is over"):
        catalog.flip(CHURN, SWITCH, FIRST)
    assert catalog.takeover(CHURN) is None


def test_a_flip_that_arrives_after_its_failover_was_concluded_is_refused(catalog):
    """Its answer got lost, the failover was told to have failed, and what it had restored may be gone."""
    catalog.claim(CHURN, FIRST, None)
    catalog.conclude(CHURN, FIRST)
    with pytest.raises(EpochTaken):
        catalog.flip(CHURN, SWITCH, FIRST)
    assert catalog.takeover(CHURN) is None


def test_a_flip_that_races_a_claim_never_leaves_an_old_switch_behind(catalog):
    catalog.claim(CHURN, FIRST, None)

    def race(number):
        return catalog.claim(CHURN, SECOND, FIRST) if number == 3 else catalog.flip(CHURN, SWITCH, FIRST)

    outcomes(race)
    assert catalog.epoch(CHURN) == SECOND
    with pytest.raises(EpochTaken):
        catalog.flip(CHURN, SWITCH.model_copy(update={"endpoint": "late"}), FIRST)
    assert catalog.takeover(CHURN) in (None, SWITCH)


def standing(epoch, **changes):
    given = {"epoch": epoch, "holder": "ap-southeast-1", "home": "ap-southeast-1", "kind": Kind.FAILBACK, "since": NOW,
             "route": None, "version": "arn:served", "learned_at": NOW}  # fmt: skip
    return Standing(**(given | changes))


def test_nothing_is_known_of_a_peer_that_said_nothing(catalog):
    assert catalog.leadership(CHURN) == Leadership()
    assert (catalog.standing(CHURN), catalog.known_models()) == (None, [])


def test_what_the_peer_announced_is_read_back(catalog):
    catalog.learn(CHURN, standing(0, route=ROUTE))
    catalog.learn(OTHER, standing(2))
    assert catalog.standing(CHURN) == standing(0, route=ROUTE)
    assert catalog.leadership(OTHER) == Leadership(standing=standing(2))
    assert catalog.models() == []


def test_a_model_is_known_by_its_records_or_by_what_the_peer_announced_of_it(catalog):
    catalog.learn(OTHER, standing(2))
    assert catalog.known_models() == [OTHER]
    catalog.begin(RECORD)
    catalog.learn(CHURN, standing(0))
    assert catalog.known_models() == sorted([CHURN, OTHER], key=str)


def test_a_standing_only_grows(catalog):
    catalog.learn(CHURN, standing(2))
    catalog.learn(CHURN, standing(1))
    assert catalog.standing(CHURN) == standing(2)
    catalog.learn(CHURN, standing(2, version="arn:newer"))
    assert catalog.standing(CHURN).version == "arn:newer"
    catalog.learn(CHURN, standing(4))
    assert catalog.standing(CHURN) == standing(4)


def test_of_eight_that_learn_at_once_the_highest_epoch_stays(catalog):
    outcomes(lambda number: catalog.learn(CHURN, standing(2 * number)))
    assert catalog.standing(CHURN).epoch == 14
    assert catalog.known_models() == [CHURN]


def test_what_was_taken_over_before_is_remembered_once_this_region_stands_down(catalog):
    catalog.claim(CHURN, FIRST, None)
    catalog.flip(CHURN, SWITCH, FIRST)
    catalog.learn(CHURN, standing(2))
    catalog.stand_down(CHURN, standing(2))
    assert catalog.takeover(CHURN) is None
    assert catalog.leadership(CHURN) == Leadership(former=SWITCH, standing=standing(2))
    catalog.stand_down(CHURN, standing(2))
    assert catalog.leadership(CHURN).former == SWITCH


def test_a_newer_takeover_does_not_stand_down_and_one_that_never_was_neither(catalog):
    catalog.stand_down(CHURN, standing(2))
    assert catalog.leadership(CHURN) == Leadership()
    catalog.claim(CHURN, FIRST, None)
    catalog.flip(CHURN, SWITCH, FIRST)
    for epoch in (0, 1):
        catalog.stand_down(CHURN, standing(epoch))
    assert catalog.takeover(CHURN) == SWITCH


def test_the_switch_goes_on_again_with_a_newer_epoch(catalog):
    third = FIRST.model_copy(update={"number": 3})
    catalog.claim(CHURN, FIRST, None)
    catalog.flip(CHURN, SWITCH, FIRST)
    catalog.stand_down(CHURN, standing(2))
    catalog.claim(CHURN, third, FIRST)
    again = SWITCH.model_copy(update={"epoch": 3})
    catalog.flip(CHURN, again, third)
    assert catalog.leadership(CHURN) == Leadership(takeover=again)


@pytest.mark.parametrize("known", [1, 2])
def test_the_switch_refuses_an_epoch_that_the_peer_was_seen_to_have_passed(catalog, known):
    catalog.claim(CHURN, FIRST, None)
    catalog.learn(CHURN, standing(known))
    with pytest.raises(EpochTaken, match="epoch 1 is over"):
        catalog.flip(CHURN, SWITCH, FIRST)
    assert catalog.takeover(CHURN) is None


def test_a_flip_that_races_what_is_learned_never_wins_against_a_higher_epoch(catalog):
    catalog.claim(CHURN, FIRST, None)

    def race(number):
        if number % 2:
            return catalog.learn(CHURN, standing(2))
        try:
            return catalog.flip(CHURN, SWITCH, FIRST)
        except Throttled as error:  # cancelled by the other write: it is tried again
            return error

    outcomes(race)
    with pytest.raises(EpochTaken):
        catalog.flip(CHURN, SWITCH.model_copy(update={"endpoint": "late"}), FIRST)
    assert catalog.takeover(CHURN) in (None, SWITCH)


# beside the home

ASIDE = Beside(home="ap-southeast-1", endpoint="churn-1-s0", recovery_point="v1-abc", counts={"all": 2}, since=NOW)
NEXT = ASIDE.model_copy(update={"endpoint": "churn-2-s0", "since": NOW + dt.timedelta(hours=1)})


def test_what_answers_beside_the_home_is_read_back_with_the_rest(catalog):
    catalog.put_beside(CHURN, ASIDE, None)
    catalog.learn(CHURN, standing(2))
    assert catalog.leadership(CHURN) == Leadership(standing=standing(2), beside=ASIDE)
    assert catalog.leadership(OTHER) == Leadership()


def test_what_answers_beside_the_home_is_replaced_by_who_has_read_it(catalog):
    catalog.put_beside(CHURN, ASIDE, None)
    for previous in (None, NEXT):
        with pytest.raises(LostRace, match="at the same time"):
            catalog.put_beside(CHURN, NEXT, previous)
    assert catalog.leadership(CHURN).beside == ASIDE
    catalog.put_beside(CHURN, NEXT, ASIDE)
    assert catalog.leadership(CHURN).beside == NEXT


def test_other_counts_alone_are_the_same_row(catalog):
    more = ASIDE.model_copy(update={"counts": {"all": 4}})
    catalog.put_beside(CHURN, ASIDE, None)
    catalog.put_beside(CHURN, more, ASIDE)
    catalog.put_beside(CHURN, NEXT, ASIDE)
    assert catalog.leadership(CHURN).beside == NEXT


def test_what_leaves_is_another_row_than_what_stays(catalog):
    leaving = ASIDE.model_copy(update={"leaving": NOW})
    catalog.put_beside(CHURN, ASIDE, None)
    catalog.put_beside(CHURN, leaving, ASIDE)
    with pytest.raises(LostRace):
        catalog.withdraw_beside(CHURN, ASIDE)
    assert catalog.leadership(CHURN).beside == leaving


def test_what_is_withdrawn_is_gone_and_something_else_may_answer_after_it(catalog):
    with pytest.raises(LostRace):
        catalog.withdraw_beside(CHURN, ASIDE)
    catalog.put_beside(CHURN, ASIDE, None)
    catalog.withdraw_beside(CHURN, ASIDE)
    assert catalog.leadership(CHURN) == Leadership()
    for action in (lambda: catalog.withdraw_beside(CHURN, ASIDE), lambda: catalog.put_beside(CHURN, NEXT, ASIDE)):
        with pytest.raises(LostRace):
            action()
    catalog.put_beside(CHURN, NEXT, None)
    assert catalog.leadership(CHURN).beside == NEXT


# what is being deleted

GOES = Leaving(endpoint="churn-1-s0", since=NOW)
AGAIN = Leaving(endpoint="churn-1-s0", since=NOW + dt.timedelta(hours=1))


def test_what_leaves_is_known_until_it_is_gone(catalog):
    assert catalog.leaving(CHURN, GOES.endpoint) is None
    catalog.leave(CHURN, GOES, None, None)
    assert catalog.leaving(CHURN, GOES.endpoint) == GOES
    assert (catalog.leaving(OTHER, GOES.endpoint), catalog.leaving(CHURN, "churn-2-s0")) == (None, None)
    catalog.left(CHURN, GOES, gone=False)
    ended = GOES.model_copy(update={"open": False})
    assert catalog.leaving(CHURN, GOES.endpoint) == ended
    catalog.leave(CHURN, AGAIN, ended, None)
    catalog.left(CHURN, AGAIN, gone=True)
    assert catalog.leaving(CHURN, GOES.endpoint) is None
    catalog.leave(CHURN, AGAIN, None, None)
    assert catalog.leaving(CHURN, GOES.endpoint) == AGAIN


def test_of_two_looks_one_deletes(catalog):
    catalog.leave(CHURN, GOES, None, None)
    for previous in (None, AGAIN):
        with pytest.raises(LostRace):
            catalog.leave(CHURN, AGAIN, previous, None)
    with pytest.raises(LostRace):
        catalog.left(CHURN, AGAIN, gone=True)
    assert catalog.leaving(CHURN, GOES.endpoint) == GOES


@pytest.mark.parametrize("seen", [None, FIRST])
def test_nothing_leaves_once_another_failover_has_claimed(catalog, seen):
    if seen:
        catalog.claim(CHURN, FIRST, None)
        catalog.conclude(CHURN, FIRST)
    catalog.claim(CHURN, SECOND, seen)
    for concluded in (False, True):
        with pytest.raises(LostRace, match="a failover of sagemaker/churn began"):
            catalog.leave(CHURN, GOES, None, seen)
        if not concluded:
            catalog.conclude(CHURN, SECOND)
    assert catalog.leaving(CHURN, GOES.endpoint) is None
    catalog.leave(CHURN, GOES, None, SECOND)


def test_a_failover_that_claims_and_a_look_that_deletes_never_miss_each_other(catalog):
    seen, deleted = [], []

    def race(number):
        if number == 3:
            catalog.claim(CHURN, FIRST, None)
            seen.append(catalog.leaving(CHURN, GOES.endpoint))
            return
        catalog.leave(CHURN, GOES, None, None)
        deleted.append(number)

    outcomes(race)
    assert len(deleted) <= 1
    assert seen == [GOES if deleted else None] or not seen


def test_of_eight_that_replace_it_at_once_one_wins(catalog):
    catalog.put_beside(CHURN, ASIDE, None)
    rows = [NEXT.model_copy(update={"endpoint": f"churn-{number}"}) for number in range(8)]
    found = outcomes(lambda number: catalog.put_beside(CHURN, rows[number], ASIDE))
    assert sum(isinstance(one, LostRace) for one in found) == 7
    assert catalog.leadership(CHURN).beside == rows[found.index(None)]


# routes and health


def test_a_route_is_read_back(catalog):
    catalog.put_route(CHURN, ROUTE, {"endpoint": "id-1"})
    assert (catalog.route(CHURN), catalog.route(OTHER)) == (ROUTE, None)


def test_health_is_remembered(catalog):
    assert catalog.health(CHURN) == HealthState()
    state = HealthState(verdict=Sight.UNHEALTHY, unhealthy_rounds=2, first_unhealthy_at=NOW, paged=True, reason="x")
    catalog.put_health(CHURN, state)
    assert (catalog.health(CHURN), catalog.health(OTHER)) == (state, HealthState())


def test_a_region_that_does_not_answer_is_unreachable(cloud, monkeypatch):
    from botocore.exceptions import EndpointConnectionError

    catalog = table(cloud)

    def cut_off(**_):
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    monkeypatch.setattr(cloud.client("dynamodb"), "get_item", cut_off)
    with pytest.raises(RegionUnreachable, match="tried again"):
        catalog.epoch(CHURN)


def newer(value):
    """The same as a newer release might write it, with one field more at each depth."""
    if isinstance(value, list):
        return [newer(one) for one in value]
    if not isinstance(value, dict):
        return value
    numbers = all(isinstance(one, int) for one in value.values())  # a mapping of names, and no row
    return value if numbers else {**{name: newer(one) for name, one in value.items()}, "of_a_newer_release": {"a": []}}


def everything(catalog):
    """Every kind of row, read back."""
    return [
        catalog.records(CHURN), catalog.epoch(CHURN), catalog.leadership(CHURN), catalog.takeover(CHURN),
        catalog.leaving(CHURN, GOES.endpoint), catalog.route(CHURN), catalog.health(CHURN), catalog.capacity(),
        catalog.transfer(TRANSFER.owner, TRANSFER.id), catalog.items(TRANSFER),
    ]  # fmt: skip


def test_every_row_of_a_newer_release_is_read(cloud):
    catalog = table(cloud)
    catalog.begin(RECORD)
    catalog.claim(CHURN, FIRST, None)
    catalog.flip(CHURN, SWITCH, FIRST)
    catalog.learn(CHURN, standing(0, route=ROUTE))
    catalog.put_beside(CHURN, ASIDE, None)
    catalog.leave(CHURN, GOES, None, FIRST)
    catalog.put_route(CHURN, ROUTE, {})
    catalog.put_health(CHURN, HealthState(ask=Ask(id="a", tries=1, until=NOW)))
    catalog.put_capacity(Capacity(limits={"ml.m5.large": 4}, used={}, side_by_side=10, read_at=NOW))
    catalog.open_transfer(TRANSFER, [done(one) for one in SHARDS])
    before = everything(catalog)
    dynamodb, changed = cloud.client("dynamodb"), 0
    for item in dynamodb.scan(TableName="catalog")["Items"]:
        if "body" in item:
            item["body"]["S"] = json.dumps(newer(json.loads(item["body"]["S"])))
            dynamodb.put_item(TableName="catalog", Item=item)
            changed += 1
    assert changed == 13
    assert everything(catalog) == before


# transfers

TRANSFER = Transfer(owner="model/sagemaker/churn", id="v1-abc", plan="p1", started_at=NOW, items=3, objects=9, bytes=90)
NEWER = TRANSFER.model_copy(update={"plan": "p2"})
REF = ShardRef(
    digest="ab" * 32,
    key="shards/ab.avro",
    version_id="v",
    first="a",
    last="z",
    objects=3,
    bytes=30,
    locked_until=NOW + dt.timedelta(days=30),
)


def work(*names, **fields):
    return [WorkItem(item=name, objects=3, bytes=30, first="a", last="z", **fields) for name in names]


def done(item, **fields):
    return item.model_copy(update={"done_at": NOW, "ref": REF, **fields})


SHARDS = work("shards/000001", "shards/000002", "shards/000003")


def test_a_plan_and_its_items_are_read_back(catalog):
    catalog.open_transfer(TRANSFER, reversed(SHARDS))
    assert catalog.transfer(TRANSFER.owner, TRANSFER.id) == TRANSFER
    assert catalog.items(TRANSFER) == SHARDS


def test_nothing_is_known_of_a_transfer_that_was_not_planned(catalog):
    assert catalog.transfer(TRANSFER.owner, TRANSFER.id) is None
    assert catalog.items(TRANSFER) == []
    with pytest.raises(LostRace, match="p1 is not in force"):
        catalog.item_done(TRANSFER, done(SHARDS[0]))


def test_a_plan_of_thousands_of_items_is_read_back_in_order(catalog):
    items = work(*(f"shards/{number:06d}" for number in range(1, 2401)))
    catalog.open_transfer(TRANSFER, iter(items))
    assert catalog.items(TRANSFER) == items


def test_a_done_item_is_told_with_what_came_of_it(catalog):
    carried = done(SHARDS[0])
    catalog.open_transfer(TRANSFER, [carried, *SHARDS[1:]])
    catalog.item_done(TRANSFER, done(SHARDS[2]))
    catalog.item_done(TRANSFER, done(SHARDS[2]))
    assert catalog.items(TRANSFER) == [carried, SHARDS[1], done(SHARDS[2])]


def test_a_plan_that_is_put_in_force_again_forgets_nothing_that_is_done(catalog):
    catalog.open_transfer(TRANSFER, SHARDS)
    catalog.item_done(TRANSFER, done(SHARDS[1]))
    catalog.open_transfer(TRANSFER, SHARDS)
    assert catalog.items(TRANSFER) == [SHARDS[0], done(SHARDS[1]), SHARDS[2]]


def test_work_of_a_plan_that_was_replaced_is_refused(catalog):
    catalog.open_transfer(TRANSFER, SHARDS)
    catalog.open_transfer(NEWER, SHARDS)
    with pytest.raises(LostRace, match="p1 is not in force"):
        catalog.item_done(TRANSFER, done(SHARDS[0]))
    assert catalog.items(catalog.transfer(TRANSFER.owner, TRANSFER.id)) == SHARDS


def test_transfers_whose_names_begin_alike_are_kept_apart(catalog):
    others = [
        TRANSFER.model_copy(update=changes)
        for changes in ({"owner": "model/sagemaker/churn-2"}, {"id": "v1-abcd"}, {"plan": "p11"})
    ]
    for transfer in (*others, TRANSFER):
        catalog.open_transfer(transfer, SHARDS)
    catalog.item_done(TRANSFER, done(SHARDS[0]))
    assert catalog.items(TRANSFER) == [done(SHARDS[0]), *SHARDS[1:]]
    assert [catalog.items(other) for other in others] == [SHARDS] * 3


def test_eight_workers_at_once_lose_nothing(catalog):
    items = work(*(f"shards/{number:06d}" for number in range(8)))
    catalog.open_transfer(TRANSFER, items)
    outcomes(lambda number: catalog.item_done(TRANSFER, done(items[number])))
    assert catalog.items(TRANSFER) == [done(item) for item in items]


def test_what_is_done_while_the_plan_is_replaced_never_shows_in_the_new_one(catalog):
    catalog.open_transfer(TRANSFER, SHARDS)

    def race(number):
        if number == 3:
            return catalog.open_transfer(NEWER, SHARDS)
        return catalog.item_done(TRANSFER, done(SHARDS[number % 3]))

    outcomes(race)
    assert catalog.transfer(TRANSFER.owner, TRANSFER.id) == NEWER
    assert catalog.items(NEWER) == SHARDS


def test_progress_is_forgotten_after_a_while(cloud):
    catalog = table(cloud)
    catalog.open_transfer(TRANSFER, SHARDS)
    catalog.item_done(TRANSFER, done(SHARDS[0]))
    held = cloud.client("dynamodb").scan(TableName="catalog")["Items"]
    assert {int(item["expires"]["N"]) for item in held} == {int((NOW + dt.timedelta(days=90)).timestamp())}
    assert len(held) == 5


def unprocessed(cloud, monkeypatch, *, times):
    """Let the table leave all but the first item of a batch unprocessed, so many times."""
    dynamodb = cloud.client("dynamodb")
    original, calls = dynamodb.batch_write_item, []

    def write(RequestItems):  # noqa: N803  boto3's name
        calls.append(len(RequestItems["catalog"]))
        if len(calls) > times:
            return original(RequestItems=RequestItems)
        original(RequestItems={"catalog": RequestItems["catalog"][:1]})
        return {"UnprocessedItems": {"catalog": RequestItems["catalog"][1:] or RequestItems["catalog"]}}

    monkeypatch.setattr(dynamodb, "batch_write_item", write)
    monkeypatch.setattr("mldr.aws.catalog.time.sleep", lambda seconds: None)
    return calls


def test_items_that_the_table_left_unprocessed_are_written_again(cloud, monkeypatch):
    catalog = table(cloud)
    calls = unprocessed(cloud, monkeypatch, times=2)
    catalog.open_transfer(TRANSFER, SHARDS)
    assert calls == [3, 2, 1]
    assert catalog.items(TRANSFER) == SHARDS


def test_a_table_that_never_takes_an_item_is_throttled_and_the_plan_not_in_force(cloud, monkeypatch):
    catalog = table(cloud)
    unprocessed(cloud, monkeypatch, times=99)
    with pytest.raises(Throttled, match="more slowly"):
        catalog.open_transfer(TRANSFER, SHARDS)
    assert catalog.transfer(TRANSFER.owner, TRANSFER.id) is None
