"""What a refusal says to a person: the cause and the next step, not what a function would do about it."""

import pytest

from cli.outcomes import brief, from_error
from mldr.errors import RegionUnreachable

SDK = "An error occurred (ServiceUnavailableException) when calling the Query operation (reached max retries: 2): down"


@pytest.mark.parametrize(
    ("long", "short"),
    [
        (f"list POINT# of churn: {SDK}; it is tried again", "list POINT# of churn: ServiceUnavailableException: down"),
        ("read it: no answer; it is tried again, more slowly", "read it: no answer"),
        ("An error occurred (404) when calling the HeadObject operation: Not Found", "404: Not Found"),
        ("nothing to shorten", "nothing to shorten"),
    ],
)
def test_what_the_sdk_and_the_functions_say_of_themselves_is_left_out(long, short):
    assert brief(long) == short


def test_every_error_is_told_like_that():
    assert str(from_error(RegionUnreachable(f"read: {SDK}; it is tried again"))) == (
        "read: ServiceUnavailableException: down"
    )
