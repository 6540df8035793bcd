"""The demo's figures come from what was recorded: RTO, RPO, phases, what the client saw, the counts of law 1."""

import datetime as dt
import io

import pytest
from rich.console import Console

from cli.demo import picture, report, strip
from cli.demo.scene import ACTIVE, MODEL, STANDBY
from cli.demo.standby import Asked
from cli.demo.traffic import Request, good_in_a_row
from mldr.domain.evidence import GENESIS, Evidence, PhaseTime
from mldr.domain.recovery_point import Origin, Phase, Record

T0 = dt.datetime(2026, 1, 31, 12, 0, 0, tzinfo=dt.UTC).timestamp()
FAILED_AT, HEALED_AT = T0 + 10, T0 + 60


def utc(seconds: float) -> dt.datetime:
    """The time this many seconds after the first request."""
    return dt.datetime.fromtimestamp(T0 + seconds, dt.UTC)


def request(at: float, *, ok: bool = True, equal: bool = True, region: str | None = None, took: float = 0.1) -> Request:
    """One request, sent `at` seconds after the first."""
    where = region or (ACTIVE if at < 10 else STANDBY)
    return Request(at=T0 + at, seconds=took, sample=0, ok=ok, equal=ok and equal, region=where if ok else None)


def seen(requests: list[Request] | None = None, calls: list[dict] | None = None, phase: Phase = Phase.SEALED):
    """A demo in which the region failed after 10 s, and good answers came back after 40 s."""
    usual = [request(float(at), ok=not 10 <= at < 40) for at in range(70)]
    names = ("detect", "decide", "restore", "warm", "verify", "switch", "confirm")
    origin = Origin(region=ACTIVE, version="1", arn="arn", promoted_at=utc(-20))
    record = Record(
        model=MODEL, recovery_point="v1-abc", phase=phase, attempt=1, origin=origin, started_at=utc(-19),
        objects=3, bytes=33563, sealed_at=utc(-14),
    )  # fmt: skip
    evidence = Evidence(
        sequence=1, previous=GENESIS, kind="failover", id="auto", model=MODEL, outcome="completed", reason="down",
        region=STANDBY, epoch=1, recovery_point="v1-abc", recorded_at=utc(41),
        phases=tuple(PhaseTime(name=name, seconds=3.0) for name in names),
    )  # fmt: skip
    asked = Asked(first_failure_at=utc(14), requested_at=utc(25))
    return report.Observed(
        record, evidence, asked, usual if requests is None else requests, calls or [], T0 - 20.5, FAILED_AT, HEALED_AT,
        {"python": "3.11"},
    )  # fmt: skip


def test_rto_runs_from_the_first_lost_request_to_the_first_of_the_good_answers_that_continue():
    assert report.compute(seen()).rto_seconds == pytest.approx(30.1)


def test_a_good_answer_that_does_not_last_is_not_the_end():
    blips = [request(float(at), ok=not 10 <= at < 40 or at == 20) for at in range(70)]
    assert report.compute(seen(blips)).rto_seconds == pytest.approx(30.1)


def test_a_failure_after_healing_makes_the_rto_longer():
    late = [request(float(at), ok=not (10 <= at < 40 or at == 62)) for at in range(70)]
    assert report.compute(seen(late)).rto_seconds == pytest.approx(53.1)


def test_a_request_under_way_when_the_region_failed_counts():
    slow = [request(9.5, ok=False, took=1.5), *(request(float(at)) for at in range(12, 20))]
    assert report.compute(seen(slow)).rto_seconds == pytest.approx(2.6)


def test_a_wrong_answer_is_a_failure_and_is_said_to_differ():
    found = report.compute(seen([*seen().requests, request(71, equal=False), request(72)]))
    assert not found.client.answers_equal
    assert found.client.failed == 31
    assert "answers differ from those before" in found.shortcomings


def test_nothing_that_lasts_is_no_recovery():
    found = report.compute(seen([request(float(at), ok=at < 10) for at in range(70)]))
    assert found.rto_seconds is None
    assert found.client.good_after == 0
    assert "good answers did not come back for good" in found.shortcomings


def test_what_the_client_saw_is_counted():
    client = report.compute(seen()).client
    assert (client.requests, client.failed, client.good_before, client.good_after) == (70, 30, 10, 30)
    assert (client.region_before, client.region_after) == (ACTIVE, STANDBY)
    assert client.answers_equal


def test_detection_runs_from_the_lost_request_when_that_was_earlier_than_the_watch():
    phases = {phase.name: phase.seconds for phase in report.compute(seen()).phases}
    assert phases["detect"] == pytest.approx(15.0)
    assert list(phases) == ["detect", "decide", "restore", "warm", "verify", "switch", "confirm"]


def test_rpo_runs_from_the_approval_to_the_seal():
    assert report.compute(seen()).rpo_seconds == pytest.approx(6.5)


def call(at: float, region: str = STANDBY, control_plane: bool = False) -> dict:
    """One line of the call log."""
    return {"at": T0 + at, "region": region, "control_plane": control_plane}


def test_law_one_counts_from_the_failure_to_the_evidence_also_what_was_refused():
    calls = [call(9, ACTIVE), call(11, ACTIVE), call(12, "us-east-1", True), call(20), call(50, ACTIVE, True)]
    found = report.compute(seen(calls=calls))
    assert (found.calls_to_failed_region, found.control_plane_calls) == (1, 1)
    assert len(found.shortcomings) == 2


def test_traffic_that_goes_back_after_healing_is_a_shortcoming():
    back = [request(float(at), ok=not 10 <= at < 40, region=ACTIVE if at >= 65 else None) for at in range(70)]
    assert report.compute(seen(back)).shortcomings == ["the traffic did not move to the standby for good"]


def test_a_recovery_has_no_shortcomings():
    assert report.compute(seen()).shortcomings == []


def test_report_json_has_the_agreed_fields():
    written = report.compute(seen()).model_dump(mode="json")
    assert set(written) == {
        "recovery_point", "rpo_seconds", "rto_seconds", "phases", "client", "calls_to_failed_region",
        "control_plane_calls", "versions", "parameters",
    }  # fmt: skip
    assert written["recovery_point"] == {"id": "v1-abc", "phase": "SEALED", "objects": 3, "bytes": 33563}


@pytest.mark.parametrize("width", [76, 80, 100, 160])
def test_the_report_fits_the_terminal_and_says_the_figures(width):
    paper = io.StringIO()
    observed = seen()
    picture.draw(Console(file=paper, width=width), report.compute(observed), observed)
    text = paper.getvalue()
    assert max(len(line) for line in text.splitlines()) <= width
    assert f"survived the loss of {ACTIVE}" in text
    for figure in ("30.1 s", "6.5 s", "detect", "confirm", "▲ it heals"):
        assert figure in text


def test_a_failed_demo_says_why():
    paper = io.StringIO()
    observed = seen(calls=[call(11, ACTIVE)])
    picture.draw(Console(file=paper, width=90), report.compute(observed), observed)
    assert "was not recovered as it should be" in paper.getvalue()
    assert "calls to the failed region: 1" in paper.getvalue()


def test_one_failure_in_a_slice_is_not_hidden():
    columns = strip.slices([request(0.1), request(0.2, ok=False), request(1.1), request(12)], T0, T0 + 13, 13)
    assert strip.availability(columns).plain == "✗█          ▓"


def test_labels_below_the_strip_never_cover_each_other():
    lines = strip.marks([(T0 + 10, "first"), (T0 + 11, "second"), (T0 + 99, "the last one")], T0, T0 + 100, 50)
    assert len(lines) == 2
    assert all(len(line) <= 50 for line in lines)
    assert sum(line.count("▲") for line in lines) == 3


def test_good_in_a_row_counts_the_newest_of_one_region():
    assert good_in_a_row([request(1), request(50), request(51)], STANDBY) == 2
    assert good_in_a_row([request(50), request(51, ok=False)], STANDBY) == 0
