"""What the bench computes itself: counting, ratios, simulation, and results that survive an interruption."""

import pytest

from bench import results, tables
from bench.prices import PRICES
from bench.scale.limits import ASSUMED, DOCUMENTED, Engine
from bench.scale.simulation import Case, simulate
from bench.server import REQUEST, kind

ENGINE = Engine(functions=20, in_flight=32, memory_mb=512, states_of_child=1)
LINE = b'2026 7fc 1 beast: 0x7fc: 127.0.0.1 - lab [23/Nov/2026:13:22:54.241 +0000] "%s" 200 0 - "agent" - latency=0.0s'


@pytest.mark.parametrize(
    ("request_line", "wanted"),
    [
        (b"PUT /bucket/a/b HTTP/1.1", "put"),
        (b"PUT /bucket/a?partNumber=1&uploadId=2~x HTTP/1.1", "part"),
        (b"GET /bucket?list-type=2&prefix=a/b HTTP/1.1", "list"),
        (b"GET /bucket/?versions HTTP/1.1", "list"),
        (b"GET /bucket/key?versionId=1 HTTP/1.1", "get"),
        (b"HEAD /bucket/key HTTP/1.1", "head"),
        (b"POST /bucket/key?uploads HTTP/1.1", "post"),
    ],
)
def test_the_access_log_tells_what_was_asked(request_line, wanted):
    found = REQUEST.search(LINE % request_line)
    assert kind(*found.groups()) == wanted


def sample(contestant, seconds, phase="first copy"):
    """One round of one contestant."""
    return {
        "workload": "w", "objects": 10, "phase": phase, "contestant": contestant, "seconds": seconds, "cpu": 1.0,
        "peak_mib": 50.0, "requests": 10, "kinds": {"put": 10}, "complete": True,
    }  # fmt: skip


def test_a_ratio_is_that_of_the_medians_to_the_fastest_peer():
    samples = [sample("s5cmd", each) for each in (9.0, 4.0, 3.0)] + [sample("rclone", 8.0), sample("mldr, warm", 2.0)]
    row = tables.ratios({"samples": samples}).rows[0]
    assert row[:5] == ["w, first copy", "s5cmd", "4.00", "2.00", "2.00"]
    assert row[5:] == ["-", "-", "-", "-"]


def test_a_copy_that_missed_something_says_so():
    samples = [sample("rclone", 1.0), sample("rclone", 1.0) | {"complete": False}]
    assert tables.copies({"samples": samples}).rows[0][1] == "rclone (incomplete)"


def case(**fields):
    """Ten million small objects, but for what is named."""
    many = {
        "name": "many", "objects": 10_000_000, "bytes": 10**11, "pages": 10_000, "listed_at_once": 1, "shards": 2700,
        "parts_items": 0, "parts": 0, "planner_cpu": 150.0, "request_cpu": 0.0003,
    }  # fmt: skip
    return Case(**{**many, **fields})


def test_small_objects_are_bound_by_the_writes_that_s3_takes():
    found = simulate(case(), ENGINE)
    assert found["bound"] == "S3 writes"
    assert found["seconds"]["copying"] >= 10_000_000 / 3500
    assert found["requests_per_object"] < 1.01


def test_slow_functions_are_what_binds_when_they_are_slower_than_s3():
    assert simulate(case(request_cpu=0.01), ENGINE)["bound"] == "CPU of the functions"


def test_a_large_object_is_bound_by_its_parts_and_costs_their_requests():
    found = simulate(case(objects=1, pages=1, shards=1, parts_items=117, parts=1863), ENGINE)
    assert found["bound"] == "parts in flight"
    assert found["requests"]["copy"] == 1863 + 2


def test_every_figure_of_the_simulation_names_its_source():
    assert all(limit.source for limit in (DOCUMENTED | ASSUMED).values())
    assert all(price.source and price.dollars > 0 for price in PRICES.values())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Results go to a temporary folder, and no program is asked for its version."""
    monkeypatch.setattr(results, "QUICK", tmp_path)
    monkeypatch.setattr(results.machine, "versions", lambda tools: {})
    return tmp_path


def test_an_interrupted_run_goes_on_where_it_stopped(folder):
    results.Results("copy", quick=True, resume=False).add("w 0", [{"seconds": 1}])
    again = results.Results("copy", quick=True, resume=True)
    assert again.done("w 0")
    assert not again.done("w 1")
    assert again.document["machine"]["cores"]
    assert again.samples == [{"seconds": 1}]


def test_a_finished_run_is_not_gone_on_with(folder):
    before = results.Results("copy", quick=True, resume=False)
    before.add("w 0", [{"seconds": 1}])
    before.finish()
    assert not results.Results("copy", quick=True, resume=True).done("w 0")
