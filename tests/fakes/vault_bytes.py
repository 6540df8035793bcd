"""The bytes of the vault in memory, read piece by piece."""

from __future__ import annotations

import threading

from mldr.errors import MissingArtifact
from tests.fakes.objects import Buckets


class FakeVaultBytes:
    """`read` counts the bytes by key, `largest` is the largest piece that was asked for."""

    def __init__(self, buckets: Buckets, bucket: str = "vault") -> None:
        self.buckets, self.bucket = buckets, bucket
        self.read: dict[str, int] = {}
        self.largest = 0
        self._lock = threading.Lock()

    def piece(self, key: str, version_id: str, first: int, size: int) -> tuple[bytes, int]:
        version = self.buckets.get(self.bucket, key, version_id)
        if version is None or version.body is None:
            raise MissingArtifact(f"{key} (version {version_id}) is not in the vault any more")
        data = version.body[first : first + size]
        with self._lock:
            self.read[key] = self.read.get(key, 0) + len(data)
            self.largest = max(self.largest, size)
        return data, len(version.body)
