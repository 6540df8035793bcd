"""The restorer in memory: the same promises as on S3, over the buckets of the fakes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mldr.domain.manifests import Entry
from mldr.errors import ChecksumMismatch, MissingArtifact, TargetDiffers
from tests.fakes.objects import Buckets, checksum_of


class FakeRestorer:
    """Copies from the vault to other buckets in memory."""

    def __init__(self, buckets: Buckets, vault: str = "vault") -> None:
        self.buckets, self.vault = buckets, vault
        self.copied: list[str] = []  # the keys of every copy that was made, in order

    def restore(self, entries: Iterable[Entry], bucket: str, base: str) -> Iterator[Entry]:
        for entry in entries:
            self._one(entry, bucket, base + entry.name)
            yield entry

    def _one(self, entry: Entry, bucket: str, key: str) -> None:
        held = self.buckets.get(self.vault, entry.key, entry.version_id)
        if held is None or held.body is None or not self.buckets.has(bucket):
            raise MissingArtifact(f"{entry.key} (version {entry.version_id}) or the bucket {bucket} is gone")
        there = self.buckets.get(bucket, key)
        if there and _agrees(there.body or b"", entry):
            return
        if there:
            raise TargetDiffers(f"s3://{bucket}/{key} holds something else")
        if not _agrees(held.body, entry):
            raise ChecksumMismatch(f"{entry.key} is not what was sealed")
        self.buckets.put(bucket, key, held.body, content_type=held.content_type, metadata=held.metadata, tags=held.tags)
        self.copied.append(key)


def _agrees(body: bytes, entry: Entry) -> bool:
    return all(checksum_of(body, name).value == value for name, value in entry.digests.items())  # type: ignore[arg-type]
