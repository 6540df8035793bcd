"""Where the HTTP front of each region listens, and the public names that lead there."""

import re
from collections.abc import Sequence

ACCOUNT = "123456789012"
FIRST_FRONT = 11
API_HOST = re.compile(r"^(?P<api>[a-z0-9-]+)\.execute-api\.(?P<region>[a-z0-9-]+)\.amazonaws\.com\.?$")


def front_addresses(regions: Sequence[str]) -> dict[str, str]:
    """The loopback address of every region's HTTP front, in the order of the regions."""
    return {region: f"127.0.0.{FIRST_FRONT + index}" for index, region in enumerate(regions)}
