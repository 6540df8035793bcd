"""Full-object checksums of bytes that pass by, written as S3 writes them: base64 of the big-endian value.

docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

GIB = 1024**3
# The strongest first. What S3 may hold besides (XXHASH64, XXHASH3, XXHASH128) cannot be computed here.
HASHES = {"SHA256": "sha256", "SHA512": "sha512", "SHA1": "sha1", "MD5": "md5"}
# Their state is their value, so a later process can go on where an earlier one stopped.
RESUMABLE = {"CRC64NVME": 8, "CRC32C": 4, "CRC32": 4}  # bytes of the value
PROMPT = 1 * GIB  # bytes below which any algorithm is computed in one go
LONGEST = 16 * GIB  # bytes above which one function cannot be sure to finish a hash that it cannot resume


class Digest:
    """A checksum in the making. A resumable one goes on from the value of an earlier one."""

    def __init__(self, algorithm: str, value: str = "") -> None:
        self.algorithm = algorithm
        if algorithm in RESUMABLE:
            self._crc = int.from_bytes(base64.b64decode(value)) if value else 0
            self._step = _crc(algorithm)
        else:
            self._hash = hashlib.new(HASHES[algorithm], usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        if self.algorithm in RESUMABLE:
            self._crc = self._step(data, self._crc)
        else:
            self._hash.update(data)

    @property
    def value(self) -> str:
        """The checksum of all bytes so far."""
        if self.algorithm in RESUMABLE:
            return base64.b64encode(self._crc.to_bytes(RESUMABLE[self.algorithm])).decode()
        return base64.b64encode(self._hash.digest()).decode()


def _crc(algorithm: str) -> Callable[[bytes, int], int]:
    if algorithm == "CRC32":
        return zlib.crc32
    return _models()[algorithm].calc  # type: ignore[no-any-return]


@cache
def _models() -> dict[str, Any]:
    import anycrc  # type: ignore[import-untyped]  # few functions need it

    return {"CRC64NVME": anycrc.Model("CRC64-NVME"), "CRC32C": anycrc.Model("CRC32C")}


def checkable(digests: Mapping[str, str], size: int) -> str | None:
    """Return the algorithm to compare the bytes of an object by, or None when none can be computed.

    The strongest one, but for a large object (bytes) one that a later process can resume.
    """
    hashes = [name for name in HASHES if name in digests]
    crcs = [name for name in RESUMABLE if name in digests]
    if size > LONGEST:
        ordered = crcs
    elif size > PROMPT:
        ordered = crcs + hashes
    else:
        ordered = hashes + crcs
    return next(iter(ordered), None)
