"""What AWS charges, each price with where it was read: us-east-1, without free tiers; 1 GB is 2**30 bytes."""

from __future__ import annotations

from typing import NamedTuple

GB = 1024**3


class Price(NamedTuple):
    """Dollars for one of a unit, and the page that says so (read in transcriptions of late 2026, not live)."""

    dollars: float
    unit: str
    source: str


PRICES = {
    "copy, put or list request": Price(0.005 / 1000, "request", "aws.amazon.com/s3/pricing"),
    "get or head request": Price(0.0004 / 1000, "request", "aws.amazon.com/s3/pricing"),
    "transfer between regions": Price(0.02, "GB", "aws.amazon.com/s3/pricing (0.01 between us-east-1 and us-east-2)"),
    "state transition": Price(0.025 / 1000, "transition", "aws.amazon.com/step-functions/pricing (Standard)"),
    "function call": Price(0.20 / 1e6, "call", "aws.amazon.com/lambda/pricing"),
    "function second": Price(
        0.0000166667, "GB-second", "aws.amazon.com/lambda/pricing (x86; arm64 is about 20 % less)"
    ),
    "table write": Price(0.625 / 1e6, "write unit", "aws.amazon.com/dynamodb/pricing/on-demand"),
}


def cost(amounts: dict[str, float]) -> dict[str, float]:
    """Return the dollars for amounts by the names of this table."""
    return {name: amount * PRICES[name].dollars for name, amount in amounts.items()}
