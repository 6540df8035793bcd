"""How AWS's services are called: one client of each, made when first asked for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session

from mldr.sdk import CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.config import Config

    from mldr.settings import Settings


class Clients:
    """The settings, and the clients that adapters are made of."""

    def __init__(self, env: Settings) -> None:
        self.env = env
        self._clients: dict[tuple[str, str], Any] = {}
        # botocore alone: boto3's resources and transfers, which nothing here uses, are a third of a client's start.
        self._session = botocore.session.get_session()

    def _client(self, service: str, region: str = "") -> Any:
        place = (service, region or self.env.aws_region)
        if place not in self._clients:
            self._clients[place] = self._session.create_client(service, region_name=place[1], config=CONFIG)
        return self._clients[place]

    def _own_client(self, service: str, config: Config) -> Callable[[], Any]:
        """A client with settings of its own, made when it is first asked for."""
        return cache(lambda: self._session.create_client(service, region_name=self.env.aws_region, config=config))
