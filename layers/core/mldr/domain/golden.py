"""Golden inferences: recorded requests and answers that a restored model must reproduce.

A JSONL file; one line is
`{"request": <what to send>, "answer": <what came back>, "content_type": "application/json", "tolerance": 1e-6}`.
`content_type` and `tolerance` may be left out, and so may `latency_ms`: how long the answer took.
A text request (CSV) is written as a JSON string. A line without `answer`, after the first one, is a recorded request:
it warms a restored model and measures it, and proves nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field, ValidationError

from mldr.domain.identity import Frozen
from mldr.errors import BadGolden

MAX_BYTES = 5 * 1024 * 1024  # one synchronous Lambda answer is 6 MB; golden files are samples, not datasets


class GoldenInference(Frozen):
    """One request, the answer it had if that is to be reproduced, and how far a number may be from it (relative and
    absolute).
    """

    request: Any
    answer: Any = None
    content_type: str = "application/json"
    tolerance: float = Field(default=1e-6, ge=0)
    latency_ms: float | None = Field(default=None, gt=0)

    @property
    def proves(self) -> bool:
        """Whether there is an answer to reproduce; null is one."""
        return "answer" in self.model_fields_set

    def body(self) -> bytes:
        """Return the bytes to send."""
        text = self.request if isinstance(self.request, str) else json.dumps(self.request)
        return text.encode()


class Verdict(Frozen):
    """Whether all answers were reproduced, and the sentence that says so."""

    equal: int
    asked: int
    reason: str

    @property
    def passed(self) -> bool:
        """Whether every answer was reproduced."""
        return self.equal == self.asked


UNPROVEN = Verdict(equal=0, asked=0, reason="the policy names no golden inferences, so the answers are not proven")


def parse_golden(content: bytes) -> tuple[GoldenInference, ...]:
    """Return the inferences of a JSONL file. Raises BadGolden naming the line.

    An empty file proves nothing. The first line must have an answer: a gateway's deep health asks that one alone.
    """
    found: list[GoldenInference] = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(GoldenInference.model_validate(json.loads(line)))
        except (json.JSONDecodeError, ValidationError) as error:
            raise BadGolden(
                f'golden inferences, line {number}: {_first(error)}; write {{"request": …, "answer": …}}'
            ) from error
        if not found[0].proves:
            raise BadGolden(
                f"golden inferences, line {number}: answer: the first one needs one; write requests that only warm the "
                "model after it"
            )
    if not found:
        raise BadGolden("the golden inferences are empty; record at least one request and its answer")
    return tuple(found)


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"not JSON ({error})"


def judge(golden: Sequence[GoldenInference], answers: Sequence[bytes], *, first: int = 1) -> Verdict:
    """Compare the answers with the recorded ones, in order; `first` is the number of the first of them."""
    wrong = [number for number, (one, got) in enumerate(zip(golden, answers, strict=True)) if not _same(one, got)]
    equal = len(golden) - len(wrong)
    if not wrong:
        return Verdict(equal=equal, asked=len(golden), reason=f"all {equal} golden answers reproduced")
    one = golden[wrong[0]]
    got = answers[wrong[0]][:200].decode("utf-8", errors="replace")
    return Verdict(
        equal=equal,
        asked=len(golden),
        reason=f"{len(wrong)} of {len(golden)} golden answers differ; "
        f"number {first + wrong[0]} expected {json.dumps(one.answer)[:200]}, got {got}",
    )


def _same(golden: GoldenInference, got: bytes) -> bool:
    return _close(golden.answer, _value(got), golden.tolerance)


def _value(content: bytes) -> Any:
    text = content.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _close(want: Any, got: Any, tolerance: float) -> bool:
    if isinstance(want, bool) or isinstance(got, bool):
        return want is got
    if isinstance(want, int | float) and isinstance(got, int | float):
        return math.isclose(want, got, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(_close(a, b, tolerance) for a, b in zip(want, got, strict=True))
    if isinstance(want, dict) and isinstance(got, dict):
        return want.keys() == got.keys() and all(_close(want[key], got[key], tolerance) for key in want)
    return bool(want == got)
