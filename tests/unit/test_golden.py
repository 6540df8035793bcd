"""Golden inferences: read line by line, compared within their tolerance."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.golden import GoldenInference, judge, parse_golden
from mldr.errors import BadGolden


def verdict(answer, got, tolerance=1e-6):
    golden = (GoldenInference(request=[0], answer=answer, tolerance=tolerance),)
    return judge(golden, [got if isinstance(got, bytes) else json.dumps(got).encode()])


def test_a_file_is_read_with_its_defaults():
    first, second = parse_golden(
        b'{"request": [1, 2], "answer": {"y": 1}}\n\n'
        b'{"request": "1,2", "answer": "a,b", "content_type": "text/csv", "tolerance": 0}\n'
    )
    assert (first.body(), first.content_type, first.tolerance) == (b"[1, 2]", "application/json", 1e-6)
    assert (second.body(), second.content_type, second.tolerance) == (b"1,2", "text/csv", 0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "are empty"),
        (b"\n  \n", "are empty"),
        (b"not json\n", "line 1: not JSON"),
        (b'{"request": 1, "answer": 1}\n{"answer": 1}\n', "line 2: request: Field required"),
        (b'{"request": 1, "answer": 1}\n{"request": 1, "anwser": 1}\n', "line 2: anwser: Extra inputs"),
        (b'{"request": 1, "answer": 1, "tolerance": -1}\n', "line 1: tolerance"),
        (b'{"request": 1, "answer": 1, "tolerence": 1}\n', "line 1: tolerence"),
        (b"[1]\n", "line 1"),
        (b"\xff\xfe\n", "line 1: not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(content, says):
    with pytest.raises(BadGolden, match=says):
        parse_golden(content)


@pytest.mark.parametrize(
    ("answer", "got", "tolerance"),
    [
        (1, 1.0, 0),
        (0.5, 0.5 + 1e-7, 1e-6),
        (1000, 1000.0009, 1e-6),
        ([1, [2, 3]], [1, [2, 3.0000001]], 1e-6),
        ({"a": 1, "b": [0]}, {"b": [0], "a": 1}, 0),
        ("setosa", "setosa", 0),
        (None, None, 0),
        (True, True, 0),
        ("a,b", b"a,b", 0),
    ],
)
def test_an_answer_within_its_tolerance_is_reproduced(answer, got, tolerance):
    assert verdict(answer, got, tolerance).passed


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (1, 1.1),
        (1, True),
        (True, 1),
        (0, False),
        (1, "1"),
        ([1, 2], [1]),
        ([1], [1, 2]),
        ([1], {"0": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {"b": 1}),
        (None, 0),
        ("a", "A"),
        (1, b"<html>502</html>"),
        (1, b""),
        (1, b"NaN"),
    ],
)
def test_any_other_answer_is_wrong(answer, got):
    assert not verdict(answer, got).passed


def test_the_verdict_names_the_first_wrong_answer():
    golden = tuple(GoldenInference(request=number, answer=number) for number in (1, 2, 3))
    found = judge(golden, [b"1", b"7", b"8"])
    assert (found.equal, found.asked, found.passed) == (1, 3, False)
    assert found.reason == "2 of 3 golden answers differ; number 2 expected 2, got 7"


def test_a_long_wrong_answer_is_cut():
    assert len(verdict("x" * 9000, b"y" * 9000).reason) < 600


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=20,
)


@given(JSON)
def test_every_answer_reproduces_itself(answer):
    assert verdict(answer, answer).passed


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(1e-9, 1e-3))
def test_a_number_further_off_than_its_tolerance_is_wrong(answer, tolerance):
    moved = [answer[0] + 3 * tolerance * max(1.0, abs(answer[0])), *answer[1:]]
    assert not verdict(answer, moved, tolerance).passed


def test_a_line_without_an_answer_is_a_recorded_request_and_null_is_an_answer():
    first, recorded, nothing = parse_golden(
        b'{"request": [1], "answer": 1}\n{"request": [2], "latency_ms": 7}\n{"request": [3], "answer": null}\n'
    )
    assert [one.proves for one in (first, recorded, nothing)] == [True, False, True]
    assert judge([nothing], [b"null"]).passed
    assert not judge([nothing], [b"0"]).passed


def test_the_first_line_must_have_an_answer():
    with pytest.raises(BadGolden, match="line 1: answer: the first one needs one"):
        parse_golden(b'{"request": [1]}\n{"request": [2], "answer": 2}\n')
