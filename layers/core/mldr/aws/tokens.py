"""The gateway token, kept in Secrets Manager and replicated to the peer region."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING

from mldr.errors import BadSettings
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

FRESH = 300.0  # seconds for which the token is held; a rotation is seen after that


class SecretToken:
    """Needs secretsmanager:GetSecretValue on the secret in this region, kms:Decrypt on its key."""

    def __init__(self, secrets: SecretsManagerClient, *, name: str) -> None:
        self._secrets, self._name = secrets, name
        self._token, self._read_at = b"", 0.0

    def valid(self, presented: str) -> bool:
        return hmac.compare_digest(presented.encode(), self._held())

    def present(self) -> str:
        return self._held().decode()

    def _held(self) -> bytes:
        if not self._token or time.monotonic() - self._read_at > FRESH:
            absent = BadSettings(
                f"there is no secret {self._name} in this region; the DnsOwner's stack makes it there and replicates it"
            )
            with translated("read the gateway token", ResourceNotFoundException=absent):
                self._token = self._secrets.get_secret_value(SecretId=self._name)["SecretString"].encode()
            self._read_at = time.monotonic()
        return self._token
