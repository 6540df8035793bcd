"""Which request is which, how long an answer counts, which version gave it, and who may keep it."""

from __future__ import annotations

import base64
import datetime as dt

import pytest

from mldr.domain import prediction_cache as caching
from mldr.domain.failover import Kind, Takeover
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Beside, Leadership, Standing, role
from mldr.domain.model_rules import CacheRule
from mldr.domain.prediction_cache import Cached, Directives, Grade, Look, Sighting
from mldr.domain.recovery_point import Origin, Phase, Record

HOME, STANDBY = "ap-southeast-1", "ap-southeast-3"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
RULE = CacheRule()
JSON = "application/json"


def arn(region: str = HOME, version: int = 1) -> str:
    """A version of churn."""
    return f"arn:aws:sagemaker:{region}:123456789012:model-package/churn/{version}"


def minutes(count: float) -> dt.timedelta:
    """So many minutes."""
    return dt.timedelta(minutes=count)


def cached(**more) -> Cached:
    """An answer of version 1, given now."""
    given = {
        "model": CHURN, "version": arn(), "key": caching.key_of(CHURN, arn(), "0" * 64), "slot": 0, "endpoint": "churn",
        "epoch": 0, "asked_at": NOW, "answered_at": NOW, "expires": NOW + minutes(15), "content_type": JSON,
        "body": base64.b64encode(b"[1]").decode(),
    }  # fmt: skip
    return Cached.model_validate({**given, **more})


def print_of(body: bytes, content_type: str = JSON, accept: str = "") -> str:
    """The digest of a request."""
    return caching.fingerprint(body, content_type, accept)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a": 1, "b": [2.50, null]}', b'{"b":[2.50,null],"a":1}'),
        (b'"\\u00e4"', '"ä"'.encode()),
        (b" [1, 2]\n", b"[1,2]"),
    ],
)
def test_json_that_says_the_same_is_the_same_request(one, other):
    assert print_of(one) == print_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"[1]", b"[1.0]"),
        (b'["1"]', b"[1]"),
        (b"[0.1]", b"[0.10000000000000000001]"),
        (b"[1, 2]", b"[2, 1]"),
        (b"[true]", b"[1]"),
        (b'{"a": 1, "a": 2}', b'{"a": 2}'),
        (b"[1] ", b"[1]x"),
    ],
)
def test_json_that_a_model_might_read_otherwise_is_another_request(one, other):
    assert print_of(one) != print_of(other)


def test_other_content_counts_by_its_bytes_and_types_are_part_of_the_question():
    assert print_of(b"1, 2", "text/csv") != print_of(b"1,2", "text/csv")
    assert print_of(b"[1]", JSON, "text/csv") != print_of(b"[1]", JSON, JSON)
    assert print_of(b"[1]", "text/csv") != print_of(b"[1]", JSON)
    assert print_of(b"[1]", "Application/JSON ") == print_of(b"[1]")
    assert print_of(b'{"a":1, "b":2}', "application/vnd.x+json; charset=utf-8") == print_of(
        b'{"b":2,"a":1}', "application/vnd.x+json; charset=utf-8"
    )


def test_json_too_deep_to_read_counts_by_its_bytes():
    deep = b"[" * 200_000 + b"]" * 200_000
    assert print_of(deep) == print_of(deep)


def test_an_entry_answers_its_own_version_and_model_only():
    request = "0" * 64
    assert caching.answers(cached(), CHURN, arn(), request)
    assert not caching.answers(cached(), CHURN, arn(version=2), request)
    assert not caching.answers(cached(), ModelKey(registry="sagemaker", name="other"), arn(), request)
    assert not caching.answers(cached(), CHURN, arn(), "1" * 64)
    assert not caching.answers(cached(version="", key=caching.key_of(CHURN, "", request)), CHURN, "", request)


def test_a_model_has_no_more_slots_than_its_policy_says_and_versions_share_them():
    slots = {caching.slot_of(print_of(str(number).encode()), 16) for number in range(500)}
    assert slots == set(range(16))


@pytest.mark.parametrize(
    ("age", "worth"),
    [(0, Grade.FRESH), (9.9, Grade.FRESH), (10, Grade.STALE), (14.9, Grade.STALE), (15, Grade.OVER), (-5, Grade.FRESH)],
)
def test_an_entry_is_fresh_for_its_ttl_then_stale_then_over(age, worth):
    assert caching.grade(cached(), RULE, NOW + minutes(age)) is worth


def test_the_age_is_told_in_whole_seconds_and_never_below_zero():
    assert caching.age_of(cached(), NOW + dt.timedelta(seconds=61.9)) == 61
    assert caching.age_of(cached(), NOW - minutes(5)) == 0


def test_what_a_client_asks_of_caches_is_read():
    assert Directives.parse("max-age=0, No-Store") == Directives(no_store=True)
    assert Directives.parse("no-cache") == Directives(no_cache=True)
    assert Directives.parse("") == Directives()


# which version


def record(origin: str, target: str | None, point: str = "rp-1") -> Record:
    """A point of churn."""
    told = Origin(region=origin.split(":")[3], version="1", arn=origin, promoted_at=NOW)
    return Record(
        model=CHURN, recovery_point=point, phase=Phase.SEALED, attempt=1, origin=told, started_at=NOW, target_arn=target
    )


def look(**more) -> Look:
    """An endpoint in service."""
    given = {"status": "InService", "config": "churn-1", "models": 1, "made_at": NOW, "changed_at": NOW}
    return Look.model_validate({**given, **more})


TAKEN = Takeover(epoch=1, endpoint="churn-e1", recovery_point="rp-1", flipped_at=NOW + minutes(1), home=HOME)
ASIDE = Beside(home=HOME, endpoint="churn-e1", recovery_point="rp-1", counts={}, since=NOW + minutes(1))


def restored_in(knowledge: Leadership, region: str = STANDBY) -> caching.Restored | None:
    """What mldr restored for the role of a region."""
    return caching.restored_of(knowledge, role(region, HOME, knowledge, now=NOW, drain=minutes(5)))


BY_TAKEOVER, BY_ROW = restored_in(Leadership(takeover=TAKEN)), restored_in(Leadership(beside=ASIDE))


def test_an_endpoint_of_one_package_serves_that_version_by_its_name_at_home():
    made = look(contents=frozenset({arn()}))
    assert caching.version_of(made, "churn", None, [], HOME) == arn()
    copied = look(contents=frozenset({arn(STANDBY, 4)}))
    assert caching.version_of(copied, "churn", None, [record(arn(), arn(STANDBY, 4))], HOME) == arn()
    came_back = look(contents=frozenset({arn()}))
    assert caching.version_of(came_back, "churn", None, [record(arn(STANDBY, 4), arn())], HOME) == arn()


@pytest.mark.parametrize("by", [BY_TAKEOVER, BY_ROW])
def test_what_mldr_restored_serves_the_version_of_its_point(by):
    restored = look(config="churn-e1", contents=frozenset({"image", "s3://vault/model.tar.gz"}))
    assert caching.version_of(restored, "churn-e1", by, [record(arn(), arn(STANDBY))], HOME) == arn()
    assert caching.version_of(restored, "churn-e1", by, [record(arn(STANDBY), arn())], HOME) == arn()


def test_beside_the_home_the_version_is_that_of_the_row_and_after_a_takeover_that_of_the_switch():
    other = ASIDE.model_copy(update={"endpoint": "churn-1-s1", "recovery_point": "rp-2"})
    assert restored_in(Leadership(beside=other)).recovery_point == "rp-2"
    assert restored_in(Leadership(beside=other, takeover=TAKEN)).endpoint == "churn-e1"
    assert restored_in(Leadership()) is None
    assert restored_in(Leadership(beside=other, former=TAKEN, standing=standing(2, HOME))).endpoint == "churn-1-s1"


@pytest.mark.parametrize(
    "unsure",
    [
        {"contents": frozenset({"image", "s3://lake/model.tar.gz"})},
        {"contents": frozenset({arn(), arn(version=2)})},
        {"contents": frozenset({arn(), "s3://lake/other"})},
        {"contents": frozenset({arn()}), "status": "Updating"},
        {"config": "churn-e1", "contents": frozenset({"image"}), "models": 2},
        {"config": "churn-e1", "contents": frozenset({"image"}), "made_at": NOW + minutes(2)},
        {"config": "another", "contents": frozenset({"image"})},
    ],
)
@pytest.mark.parametrize("by", [BY_TAKEOVER, BY_ROW])
def test_a_version_that_is_not_sure_is_none(unsure, by):
    assert caching.version_of(look(**unsure), "churn-e1", by, [record(arn(), None)], HOME) == ""


def sighting(**more) -> Sighting:
    """Version 1 in service, seen now."""
    given = {"endpoint": "churn", "status": "InService", "seen_at": NOW, "version": arn(), "settled_at": NOW,
             "changed_at": NOW - minutes(60)}  # fmt: skip
    return Sighting.model_validate({**given, **more})


def test_a_look_counts_for_seconds_and_for_its_endpoint():
    assert sighting().current("churn", NOW + dt.timedelta(seconds=4))
    assert not sighting().current("churn", NOW + dt.timedelta(seconds=5))
    assert not sighting().current("churn-e1", NOW)


def test_an_update_under_way_serves_no_version_that_is_sure():
    later = caching.seen(Look(status="Updating"), "churn", "", NOW + minutes(1), sighting())
    assert later.serving == ""
    assert caching.last_known(later, "churn", RULE, NOW + minutes(1)) == ""


@pytest.mark.parametrize("status", ["Missing", "Failed", "OutOfService"])
def test_what_served_until_the_endpoint_broke_is_known_for_as_long_as_an_entry_counts(status):
    broken = caching.seen(Look(status=status), "churn", "", NOW + minutes(1), sighting())
    assert broken.serving == ""
    assert caching.last_known(broken, "churn", RULE, NOW + minutes(14)) == arn()
    assert caching.last_known(broken, "churn", RULE, NOW + minutes(15)) == ""
    assert caching.last_known(broken, "churn-e1", RULE, NOW + minutes(1)) == ""


def test_an_answer_is_its_versions_only_when_nothing_changed_since_it_was_asked():
    assert caching.still_serves(cached(), sighting(seen_at=NOW + minutes(1), settled_at=NOW + minutes(1))) == ""
    assert "another version" in caching.still_serves(cached(), sighting(version=arn(version=2)))
    assert "has changed" in caching.still_serves(cached(), sighting(changed_at=NOW))
    assert "has changed" in caching.still_serves(cached(), sighting(changed_at=None))


# who may keep


def standing(epoch: int, holder: str = STANDBY) -> Standing:
    """The peer was seen to hold an epoch."""
    return Standing(
        epoch=epoch, holder=holder, home=HOME, kind=Kind.FAILOVER, since=NOW, route=None, version=None, learned_at=NOW
    )


def why(entry: Cached, *, own: bool, knowledge: Leadership, region: str = HOME, now: dt.datetime = NOW) -> str:
    """Why an entry is not kept in a region."""
    held = role(region, HOME, knowledge, now=now, drain=minutes(5))
    answering = held.writer or held.beside
    return caching.refusal(entry, own=own, knowledge=knowledge, role=held, answering=answering, now=now)


def test_the_writer_of_the_epoch_keeps_its_own_answers_and_the_other_region_follows():
    assert why(cached(), own=True, knowledge=Leadership()) == ""
    assert why(cached(), own=False, knowledge=Leadership(), region=STANDBY) == ""


def test_an_answer_of_an_older_epoch_is_kept_nowhere():
    learned = Leadership(standing=standing(1))
    assert "epoch 1 is known" in why(cached(), own=True, knowledge=learned)
    taken = Leadership(takeover=TAKEN)
    assert "epoch 1 is known" in why(cached(), own=False, knowledge=taken, region=STANDBY)
    assert why(cached(epoch=1), own=True, knowledge=taken, region=STANDBY) == ""


def test_what_answers_beside_the_home_keeps_its_own_answers_of_the_homes_epoch_alone():
    beside = Leadership(beside=ASIDE)
    assert why(cached(), own=True, knowledge=beside, region=STANDBY) == ""
    assert "does not write" in why(cached(epoch=1), own=True, knowledge=beside, region=STANDBY)
    back = Leadership(beside=ASIDE, former=TAKEN, standing=standing(2, HOME))
    assert why(cached(epoch=2), own=True, knowledge=back, region=STANDBY) == ""
    assert "epoch 2 is known" in why(cached(epoch=1), own=True, knowledge=back, region=STANDBY)


def test_a_region_that_does_not_write_keeps_nothing_of_its_own():
    assert "does not write" in why(cached(), own=True, knowledge=Leadership(), region=STANDBY)
    assert "does not write" in why(cached(epoch=3), own=True, knowledge=Leadership(standing=standing(1)))


def test_no_other_region_can_write_for_the_epoch_that_this_one_holds():
    taken = Leadership(takeover=TAKEN)
    assert "itself holds epoch 1" in why(cached(epoch=1), own=False, knowledge=taken, region=STANDBY)


def test_a_newer_epoch_that_nobody_announced_yet_is_kept():
    assert why(cached(epoch=1), own=False, knowledge=Leadership()) == ""


def test_what_is_too_old_to_be_given_is_not_kept():
    assert "too old" in why(cached(), own=True, knowledge=Leadership(), now=NOW + minutes(15))


def test_what_crosses_fits_into_events_and_nothing_is_left_out():
    large = base64.b64encode(b"x" * caching.LARGEST).decode()
    entries = [cached(slot=number, body=large if number % 7 == 0 else "QQ==") for number in range(100)]
    events = caching.bundles(entries)
    assert [one for event in events for one in event] == entries
    sizes = [sum(len(one.model_dump_json()) for one in event) for event in events]
    assert max(sizes) < 240_000
    assert len(events) < 25
    assert caching.bundles([]) == []
