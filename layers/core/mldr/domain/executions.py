"""The names of executions that do one thing: Step Functions takes a name only once, so `name` goes on as `name-2`."""

from __future__ import annotations


def attempt(name: str, number: int) -> str:
    """Return the name of the first, second, … execution that is started for a name; of an ARN, likewise its ARN."""
    return name if number == 1 else f"{name}-{number}"
