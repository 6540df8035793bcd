"""The demo's figures come from what was recorded: RTO, RPO, phases, what the client saw, the counts of law 1."""

import datetime as dt
import io
from xml.etree import ElementTree

import pytest
from rich.console import Console

from cli.demo import picture, report, strip
from cli.demo.floor import Times, floor_of
from cli.demo.latency import latency
from cli.demo.plot import plot
from cli.demo.region_view import Asked
from cli.demo.scene import ACTIVE, MODELS, PARAMETERS, STANDBY
from cli.demo.traffic import Request, good_in_a_row
from mldr.domain.evidence import GENESIS, Evidence, PhaseTime
from mldr.domain.model_rules import Tier
from mldr.domain.recovery_point import Origin, Phase, Record

T0 = dt.datetime(2026, 1, 31, 12, 0, 0, tzinfo=dt.UTC).timestamp()
FAILED_AT, HEALED_AT, HOME_ASKED_AT = T0 + 10, T0 + 60, T0 + 70
COLD, WARM, SHARED = MODELS
NAMES = ("detect", "decide", "restore", "warm", "verify", "switch", "confirm")


def utc(seconds: float) -> dt.datetime:
    """The time this many seconds after the first request."""
    return dt.datetime.fromtimestamp(T0 + seconds, dt.UTC)


def request(
    at: float, *, ok: bool = True, equal: bool = True, region: str | None = None, took: float = 0.1, model=COLD
) -> Request:
    """One request, sent `at` seconds after the first."""
    where = region or (STANDBY if 10 <= at < 80 else ACTIVE)
    return Request(model=model.name, at=T0 + at, seconds=took, ok=ok, equal=ok and equal, region=where if ok else None)


def usual(model=COLD, back: float = 40) -> list[Request]:
    """One request a second: lost from 10 s on, good again after `back`; from 80 s on it is at home."""
    return [request(float(at), ok=not 10 <= at < back, model=model) for at in range(90)]


def evidence(model, kind: str, at: float, names=NAMES) -> Evidence:
    """What a failover or failback left behind: three seconds in each phase."""
    return Evidence(
        sequence=1, previous=GENESIS, kind=kind, id="auto", model=model, outcome="completed", reason="down",
        region=STANDBY if kind == "failover" else ACTIVE, epoch=1 if kind == "failover" else 2,
        recovery_point="v1-abc", recorded_at=utc(at), phases=tuple(PhaseTime(name=name, seconds=3.0) for name in names),
    )  # fmt: skip


def course(model=COLD, tier=Tier.COLD_STANDBY, phase: Phase = Phase.SEALED) -> report.Course:
    """What was seen of one model."""
    origin = Origin(region=ACTIVE, version="1", arn="arn", promoted_at=utc(-20))
    record = Record(
        model=model, recovery_point="v1-abc", phase=phase, attempt=1, origin=origin, started_at=utc(-19),
        objects=3, bytes=33563, sealed_at=utc(-14),
    )  # fmt: skip
    asked = Asked(first_failure_at=utc(14), requested_at=utc(25))
    there, back = evidence(model, "failover", 41), evidence(model, "failback", 82, ("gate", "decide", *NAMES[3:]))
    return report.Course(model, tier, 3, record, there, asked, back)


def seen(requests: list[Request] | None = None, calls: list[dict] | None = None, phase: Phase = Phase.SEALED):
    """A demo in which the region failed after 10 s, good answers came after 40 s, and the model went home after 70."""
    given = usual() if requests is None else requests
    return report.Observed(
        [course(phase=phase)], given, calls or [], T0 - 20.5, FAILED_AT, HEALED_AT, HOME_ASKED_AT, {"python": "3.11"}
    )


def of_two() -> report.Observed:
    """The same with a warm-standby model beside it, which is back sooner."""
    both = sorted(usual() + usual(WARM, back=30), key=lambda one: one.at)
    return seen(both)._replace(courses=[course(), course(WARM, Tier.WARM_STANDBY)])


def shared(back: float = 30, again: float = 80) -> list[Request]:
    """Both regions answer in turns; until `back` those are lost that went to the lost one; `again` both answer."""

    def one(at: int) -> Request:
        first = at % 2 == 0
        if 10 <= at < back:
            return request(float(at), ok=not first, region=STANDBY, model=SHARED)
        away = back <= at < again
        return request(float(at), region=ACTIVE if first and not away else STANDBY, model=SHARED)

    return [one(at) for at in range(90)]


def of_shared(requests: list[Request] | None = None) -> report.Observed:
    """A demo of the model that both regions answer."""
    return seen(shared() if requests is None else requests)._replace(courses=[course(SHARED, Tier.ACTIVE_ACTIVE)])


def of_all() -> report.Observed:
    """All three of them."""
    both = of_two()
    requests = sorted([*both.requests, *shared()], key=lambda one: one.at)
    return both._replace(courses=[*both.courses, course(SHARED, Tier.ACTIVE_ACTIVE)], requests=requests)


def computed(*arguments, **named) -> report.ModelReport:
    """The figures of the one model."""
    return report.compute(seen(*arguments, **named)).models[0]


def test_rto_runs_from_the_first_lost_request_to_the_first_of_the_good_answers_that_continue():
    assert computed().rto_seconds == pytest.approx(30.1)


def test_a_good_answer_that_does_not_last_is_not_the_end():
    blips = [request(float(at), ok=not 10 <= at < 40 or at == 20) for at in range(70)]
    assert computed(blips).rto_seconds == pytest.approx(30.1)


def test_a_failure_after_healing_makes_the_rto_longer():
    late = [request(float(at), ok=not (10 <= at < 40 or at == 62)) for at in range(70)]
    assert computed(late).rto_seconds == pytest.approx(53.1)


def test_a_request_under_way_when_the_region_failed_counts():
    slow = [request(9.5, ok=False, took=1.5), *(request(float(at)) for at in range(12, 20))]
    assert computed(slow).rto_seconds == pytest.approx(2.6)


def test_a_wrong_answer_is_a_failure_and_is_said_to_differ():
    late = sorted([*usual(), request(65.5, equal=False)], key=lambda one: one.at)
    found = computed(late)
    assert not found.client.answers_equal
    assert found.client.failed == 31
    assert "answers differ from those before" in found.shortcomings


def test_nothing_that_lasts_is_no_recovery():
    found = computed([request(float(at), ok=at < 10) for at in range(70)])
    assert found.rto_seconds is None
    assert found.client.good_after == 0
    assert "good answers did not come back for good" in found.shortcomings


def test_what_the_client_saw_is_counted():
    client = computed().client
    assert (client.requests, client.failed, client.good_before, client.good_after) == (70, 30, 10, 30)
    assert (client.region_before, client.region_after) == (ACTIVE, STANDBY)
    assert client.answers_equal


def test_detection_runs_from_the_lost_request_when_that_was_earlier_than_the_watch():
    phases = {phase.name: phase.seconds for phase in computed().phases}
    assert phases["detect"] == pytest.approx(15.0)
    assert list(phases) == ["detect", "decide", "restore", "warm", "verify", "switch", "confirm"]


def test_rpo_runs_from_the_approval_to_the_seal():
    assert computed().rpo_seconds == pytest.approx(6.5)


def call(at: float, region: str = STANDBY, control_plane: bool = False) -> dict:
    """One line of the call log."""
    return {"at": T0 + at, "region": region, "control_plane": control_plane}


def test_law_one_counts_from_the_failure_to_the_evidence_also_what_was_refused():
    calls = [call(9, ACTIVE), call(11, ACTIVE), call(12, "us-east-1", True), call(20), call(50, ACTIVE, True)]
    found = report.compute(seen(calls=calls))
    assert (found.calls_to_failed_region, found.control_plane_calls) == (1, 1)
    assert len(found.shortcomings) == 2


def test_a_control_plane_that_the_failback_calls_is_a_shortcoming_and_its_own_region_is_not():
    found = report.compute(seen(calls=[call(75, ACTIVE), call(76, "us-east-1", True), call(85, "us-east-1", True)]))
    assert found.failback_control_plane_calls == 1
    assert found.shortcomings == ["calls to control planes elsewhere during the failback: 1"]


def test_traffic_that_goes_back_before_it_is_asked_home_is_a_shortcoming():
    back = [one.model_copy(update={"region": ACTIVE}) if 65 <= one.at - T0 < 70 else one for one in usual()]
    assert computed(back).shortcomings == ["its traffic did not move to the standby for good"]


def test_one_request_that_fails_on_the_way_home_is_a_shortcoming_and_does_not_make_the_rto_longer():
    lost = [request(float(at), ok=not (10 <= at < 40 or at == 75)) for at in range(90)]
    found = computed(lost)
    assert found.rto_seconds == pytest.approx(30.1)
    assert (found.failback.failed, found.client.failed) == (1, 30)
    assert found.shortcomings == ["requests that failed while it went home: 1"]


def test_a_wrong_answer_on_the_way_home_is_a_failure_and_is_said_to_differ():
    wrong = [request(float(at), ok=not 10 <= at < 40, equal=at != 75) for at in range(90)]
    assert computed(wrong).shortcomings == [
        "answers differ from those before", "requests that failed while it went home: 1",
    ]  # fmt: skip


def test_traffic_that_stays_in_the_standby_did_not_come_home():
    stays = [request(float(at), ok=not 10 <= at < 40, region=STANDBY if at >= 10 else ACTIVE) for at in range(90)]
    found = computed(stays)
    assert found.failback.seconds is None
    assert found.shortcomings == ["its traffic did not come home"]


def test_the_way_home_ends_with_the_first_answer_after_which_all_came_from_home():
    swaying = [request(float(at), ok=not 10 <= at < 40, region=ACTIVE if at == 78 else None) for at in range(90)]
    assert computed(swaying).failback.seconds == pytest.approx(10.1)


def test_a_recovery_has_no_shortcomings():
    assert report.compute(of_two()).shortcomings == []


def test_all_three_tiers_have_no_shortcomings():
    assert report.compute(of_all()).shortcomings == []


def test_where_both_regions_answer_a_recovery_is_over_when_the_lost_one_is_left_out():
    [found] = report.compute(of_shared()).models
    assert (found.client.region_before, found.client.region_after) == (f"{ACTIVE} and {STANDBY}", STANDBY)
    assert (found.client.failed, found.rto_seconds) == (10, pytest.approx(19.1))
    assert (found.failback.seconds, found.failback.region_after) == (
        pytest.approx(10.1), f"{ACTIVE} and {STANDBY}",
    )  # fmt: skip


def test_a_model_that_one_region_answers_alone_is_not_shared():
    alone = [one.model_copy(update={"region": ACTIVE}) if one.at < FAILED_AT else one for one in shared()]
    [found] = report.compute(of_shared(alone)).models
    assert found.shortcomings == ["its traffic did not move to the standby for good"]


def test_where_one_region_answers_alone_in_the_end_nothing_came_home():
    [found] = report.compute(of_shared(shared(again=200))).models
    assert found.shortcomings == ["its traffic did not come home"]


def test_a_shortcoming_names_its_model():
    both = of_two()
    is_lost = lambda one: one.at == T0 + 75 and one.model == WARM.name  # noqa: E731 - one request of the list below
    lost = [one.model_copy(update={"ok": False, "equal": False}) if is_lost(one) else one for one in both.requests]
    assert report.compute(both._replace(requests=lost)).shortcomings == [
        f"{WARM.name}: requests that failed while it went home: 1"
    ]


def test_report_json_has_the_agreed_fields():
    written = report.compute(seen()).model_dump(mode="json")
    assert set(written) == {
        "models", "calls_to_failed_region", "control_plane_calls", "failback_control_plane_calls", "versions",
        "parameters",
    }  # fmt: skip
    [model] = written["models"]
    assert set(model) == {
        "model", "tier", "recovery_point", "rpo_seconds", "rto_seconds", "floor", "phases", "client", "latency_ms",
        "failback",
    }  # fmt: skip
    assert model["recovery_point"] == {"id": "v1-abc", "phase": "SEALED", "objects": 3, "bytes": 33563}


class TestFloor:
    TIMES = Times(check_interval=10, check_threshold=2, round_interval=5, rounds=3, ttl=5)

    def test_it_is_detection_and_ttl_and_the_start_of_the_endpoint(self):
        floor = floor_of(self.TIMES, 8.0, 43.0)
        assert (floor.detection, floor.ttl, floor.endpoint_start, floor.seconds) == (30, 5, 8, 43)
        assert floor.ratio == pytest.approx(1.0)

    def test_what_the_switch_takes_is_told_beside_it_and_not_in_it(self):
        floor = floor_of(self.TIMES, 8.0, 53.0)
        assert (floor.switch, floor.seconds) == (10, 43)
        assert (floor.ratio, floor.with_switch) == (pytest.approx(1.23), pytest.approx(1.0))

    def test_where_both_regions_answer_it_is_the_checkers_and_ttl_alone(self):
        floor = floor_of(self.TIMES, 8.0, 25.0, both=True)
        assert (floor.detection, floor.endpoint_start, floor.switch, floor.seconds) == (20, 0, 0, 25)
        assert (floor.ratio, floor.with_switch) == (pytest.approx(1.0), pytest.approx(1.0))

    @pytest.mark.parametrize(
        ("change", "seconds"),
        [({"check_interval": 30}, 83), ({"check_threshold": 3}, 53), ({"rounds": 1}, 33), ({"round_interval": 10}, 53),
         ({"ttl": 60}, 98)],
    )  # fmt: skip
    def test_it_follows_each_parameter(self, change, seconds):
        assert floor_of(self.TIMES.model_copy(update=change), 8.0, None).seconds == seconds

    def test_the_report_takes_the_start_from_the_evidence_and_the_rest_from_the_parameters_of_the_run(self):
        found = computed()
        assert found.floor.endpoint_start == 3.0
        assert found.floor.ttl == float(PARAMETERS["RecordTtl"])
        assert found.floor.ratio == round(found.rto_seconds / found.floor.seconds, 2)


def test_latency_counts_good_answers_alone():
    mixed = [request(1, took=0.1), request(2, took=0.3), request(3, ok=False, took=2.0)]
    found = latency(mixed)
    assert (found.answers, found.median) == (2, 200.0)
    assert latency([]).median is None


def test_each_stretch_has_its_own_latency():
    slow = [one.model_copy(update={"seconds": 0.5}) if 40 <= one.at - T0 < 60 else one for one in usual()]
    stretches = computed(slow).latency_ms
    assert (stretches["before"].median, stretches["first_after"].median) == (100.0, 500.0)
    assert [stretches[name].answers for name in ("before", "first_after", "standby", "going_home", "first_home")] == [
        10, 20, 10, 10, 10,
    ]  # fmt: skip


@pytest.mark.parametrize("width", [76, 80, 100, 160])
def test_the_report_fits_the_terminal_and_says_the_figures(width):
    paper = io.StringIO()
    observed = of_all()
    picture.draw(Console(file=paper, width=width), report.compute(observed), observed)
    text = paper.getvalue()
    assert max(len(line) for line in text.splitlines()) <= width
    assert f"survived the loss of {ACTIVE}" in text
    for figure in (
        "30.1 s", "20.1 s", "19.1 s", "6.5 s", "active-active", "both again in 10.1 s", "detect", "confirm",
        "▲ it heals", "▲ failback asked", "warm-standby",
    ):  # fmt: skip
        assert figure in text


def test_a_failed_demo_says_why():
    paper = io.StringIO()
    observed = seen(calls=[call(11, ACTIVE)])
    picture.draw(Console(file=paper, width=90), report.compute(observed), observed)
    assert "not all was as it should be" in paper.getvalue()
    assert "calls to the failed region: 1" in paper.getvalue()


SVG = "{http://www.w3.org/2000/svg}"


def read(svg: str) -> ElementTree.Element:
    """The picture that the demo has drawn, parsed."""
    return ElementTree.fromstring(svg)  # noqa: S314 - our own text


def test_the_picture_has_a_dot_for_each_answer_and_a_cross_for_each_loss():
    observed = of_all()
    drawn = read(plot(report.compute(observed), observed))
    dots = [one.get("fill") for one in drawn.iter(f"{SVG}circle") if one.get("r") == "2"]
    assert len(dots) == sum(one.good for one in observed.requests)
    assert len(set(dots)) == 2
    assert len(list(drawn.iter(f"{SVG}path"))) == sum(not one.good for one in observed.requests)
    labels = [one.text for one in drawn.iter(f"{SVG}text")]
    assert {f"{ACTIVE} fails", "it heals", "failback asked", "good again", "home", "both again"} <= set(labels)


def test_everything_in_the_picture_is_inside_it():
    observed = of_two()
    drawn = read(plot(report.compute(observed), observed))
    wide, high = (float(drawn.get(side)) for side in ("width", "height"))
    for one in drawn.iter(f"{SVG}circle"):
        assert 0 <= float(one.get("cx")) <= wide
        assert 0 <= float(one.get("cy")) <= high
    slow = plot(report.compute(observed), observed._replace(requests=[request(1, took=60.0)]))
    for one in read(slow).iter(f"{SVG}circle"):
        assert float(one.get("cy")) >= 0


def test_one_failure_in_a_slice_is_not_hidden():
    columns = strip.slices([request(0.1), request(0.2, ok=False), request(1.1), request(12)], T0, T0 + 13, 13)
    assert strip.availability(columns).plain == "✗█          ▓"


def test_a_slice_that_both_regions_answered_shows_both():
    columns = strip.slices([request(0.1), request(0.2, region=STANDBY), request(1.1)], T0, T0 + 2, 2)
    assert strip.availability(columns).plain == "▚█"


def test_labels_below_the_strip_never_cover_each_other():
    lines = strip.marks([(T0 + 10, "first"), (T0 + 11, "second"), (T0 + 99, "the last one")], T0, T0 + 100, 50)
    assert len(lines) == 2
    assert all(len(line) <= 50 for line in lines)
    assert sum(line.count("▲") for line in lines) == 3


def test_good_in_a_row_counts_the_newest_of_one_region():
    assert good_in_a_row([request(1), request(50), request(51)], STANDBY) == 2
    assert good_in_a_row([request(50), request(51, ok=False)], STANDBY) == 0
    assert good_in_a_row([request(1, ok=False), request(2), request(50)], ACTIVE, STANDBY) == 2
