"""When a restored model is warm, and what becomes of one that is not."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.components import copies_key
from mldr.domain.golden import GoldenInference
from mldr.domain.model_rules import WarmRule
from mldr.domain.warming import (
    SLACK,
    Capacity,
    Count,
    Latency,
    awake,
    drifted,
    judge,
    measured,
    missing,
    recorded,
    reweighed,
    together,
)

RULE = WarmRule(within="5m")
WAS = Latency(p50=100, p95=200, requests=50, source="CloudWatch")


def verdict(samples=(100.0,) * 20, baseline=WAS, *, seconds=0, rule=RULE, there=None, has=None, **capacity):
    """The verdict on one round, after so many seconds of warming; `has` are the weights of what is there."""
    counts = {
        name: Count(current=one, desired=one, weight=(has or {}).get(name, 1.0)) for name, one in (there or {}).items()
    }
    return judge(
        rule,
        samples,
        baseline,
        capacity=Capacity(there=counts, **capacity),
        waited=dt.timedelta(seconds=seconds),
    )


def test_percentiles_are_answers_that_were_measured():
    found = measured([float(one) for one in range(1, 21)], "here")
    assert (found.p50, found.p95, found.requests) == (10, 19, 20)
    assert measured([], "here") is None


@given(st.lists(st.floats(0, 1e5, allow_nan=False), min_size=1, max_size=50))
def test_percentiles_lie_between_the_fastest_and_the_slowest(samples):
    found = measured(samples, "here")
    assert round(min(samples), 3) <= found.p50 <= found.p95 <= round(max(samples), 3)


@pytest.mark.parametrize(
    ("samples", "warm"),
    [
        ([150.0 + SLACK] * 20, True),
        ([151.0 + SLACK] * 20, False),
        ([100.0] * 19 + [9000.0], True),  # one slow answer of twenty is not slowness
        ([100.0] * 18 + [9000.0] * 2, False),
        ([], True),  # nothing to ask with
    ],
)
def test_a_model_is_warm_within_the_factor_of_what_was_recorded(samples, warm):
    found = verdict(samples)
    assert (found.warm, found.more) == (warm, not warm)


def test_a_cold_model_is_told_in_figures():
    assert verdict([300.0] * 20).reason == (
        "half of the answers came within 300 ms, 100 ms by CloudWatch, at most 160 ms are allowed"
    )


def test_who_answers_later_has_one_instance_at_least_to_be_asked():
    there = {"main": Count(current=0, desired=0), "other": Count(current=0, desired=0)}
    assert awake({}, there) == {"main": 1, "other": 1}
    assert awake({"main": 3, "other": 0}, there) == {"main": 3, "other": 1}
    assert awake({"main": 2}, {}) == {"main": 2}


@pytest.mark.parametrize(("seconds", "warned"), [(22, False), (23, True)])
def test_a_warm_model_that_answers_more_slowly_than_a_gateway_waits_is_told(seconds, warned):
    was = Latency(p50=seconds * 1000, p95=seconds * 1000, requests=5, source="CloudWatch")
    found = verdict([seconds * 1000.0] * 3, was)
    assert (found.warm, found.more) == (True, False)
    assert ("a gateway waits 22 s" in found.warning) is warned


@pytest.mark.parametrize(("seconds", "more"), [(299, True), (300, False), (10_000, False)])
def test_warming_ends_in_time_and_warns(seconds, more):
    found = verdict([300.0] * 20, seconds=seconds)
    assert (found.warm, found.more, bool(found.warning)) == (False, more, not more)


def test_without_a_baseline_it_is_warm_when_answers_get_no_faster():
    assert verdict([900.0] * 20, None).warm
    getting = verdict([900.0] * 10 + [100.0] * 10, None)
    assert (getting.more, getting.reason) == (
        True,
        "answers still get faster: half of them came within 900 ms, then within 100 ms",
    )


def test_a_fast_model_is_not_kept_from_serving_by_milliseconds():
    quick = Latency(p50=1, p95=2, requests=9, source="the golden inferences")
    assert verdict([9.0] * 20, quick).warm


def test_an_endpoint_that_is_too_small_is_not_warm_however_fast():
    found = verdict(wanted={"a": 4}, there={"a": 1}, refused="the quota is 1")
    assert (found.more, found.reason) == (True, "variant a has 1 of 4 instances (the quota is 1)")
    assert verdict(wanted={"a": 4}, there={"a": 5}).warm


def test_copies_that_are_missing_are_told_as_copies():
    assert verdict(wanted={copies_key("c"): 2}, there={copies_key("c"): 1}).reason == "component c has 1 of 2 copies"


def test_what_answers_beside_the_home_is_added_by_the_homes_names():
    here, there = copies_key("churn-s1-c0"), copies_key("churn-ic")
    assert together({"a": 2, here: 3}, {"a": 1, there: 4}, {here: there}) == {"a": 3, here: 7}


def test_only_what_was_not_asked_for_yet_is_asked_for():
    there = {"a": Count(current=1, desired=4), "b": Count(current=1, desired=1), "c": Count(current=9, desired=9)}
    assert missing({"a": 4, "b": 2, "c": 2, "gone": 3}, there) == {"b": 2}


def test_what_the_golden_file_says_goes_before_what_was_captured():
    lines = [GoldenInference(request=1, answer=1, latency_ms=one) for one in (5, 7)]
    assert recorded(lines, WAS) == Latency(p50=5, p95=7, requests=2, source="the golden inferences")
    assert recorded([GoldenInference(request=1, answer=1)], WAS) == WAS
    assert recorded([], None) is None


@pytest.mark.parametrize(("p50", "worth"), [(100, False), (76, False), (74, True), (124, False), (126, True)])
def test_a_baseline_is_kept_anew_when_it_moved(p50, worth):
    assert drifted(WAS, WAS.model_copy(update={"p50": p50})) is worth
    assert drifted(None, WAS)
    assert not drifted(WAS, None)


def test_weights_that_differ_are_not_warm_and_are_named_with_what_they_should_be():
    two = {"main": 1, "blue": 1}
    weights = {"main": 0.6, "blue": 0.4}
    assert verdict(there=two, has=weights, weights=weights).warm
    cold = verdict(there=two, has={"main": 0.6, "blue": 0.5}, weights=weights)
    assert (cold.more, cold.reason) == (True, "variant blue has the weight 0.5 instead of 0.4")
    late = verdict(there=two, has={"main": 0.6, "blue": 0.5}, weights=weights, refused="not now", seconds=400)
    assert late.warning.endswith("variant blue has the weight 0.5 instead of 0.4 (not now)")


def test_a_weight_that_sagemaker_kept_as_a_float_of_four_bytes_is_the_same_weight():
    there = {"main": Count(current=1, desired=1, weight=0.10000000149011612), "blue": Count(current=1, desired=1)}
    assert reweighed({"main": 0.1, "blue": 1.0}, there) == {}
    assert reweighed({"main": 0.1001, "blue": 1.0}, there) == {"main": 0.1001, "blue": 1.0}
