"""mldr's snapshots from outside: start the process, keep its records, read its manifests."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import Usage, run
from bench.server import Place
from mldr.domain.manifests import Entry, decode
from mldr.domain.snapshots import SnapshotManifest, SnapshotRecord, manifest_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parent.parent


class Engine:
    """Snapshots of one bucket after the other; for each vault the records of its snapshots, the oldest first."""

    def __init__(self, place: Place, limits: dict[str, int] | None = None) -> None:
        self._place, self._limits = place, limits
        # What is installed has its bytecode ready, as the Lambda layer has, whatever this shell says of Python's.
        cached = {"PYTHONDONTWRITEBYTECODE": ""}
        self._env = place.environment | {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}"} | cached
        self.records: dict[str, list[SnapshotRecord]] = {}

    def snapshot(self, uri: str, vault: str, changed: Sequence[str] | None = None) -> tuple[Usage, Usage]:
        """Take a snapshot; with `changed`, from the events that named these. Returns whole process, ready process."""
        records = self.records.setdefault(vault, [])
        job = {
            "uri": uri,
            "vault": vault,
            "key_arn": self._place.key_id,
            "limits": self._limits,
            "before": records[-1].model_dump_json() if records else None,
            "changed": changed,
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(job))
            file.flush()
            usage = run([sys.executable, "-m", "bench.snapshot_job", file.name], env=self._env, cwd=ROOT)
        done = json.loads(usage.output.splitlines()[-1])
        records.append(SnapshotRecord.model_validate_json(done["record"]))
        return usage, Usage(done["seconds"], done["cpu"], usage.peak_mib)

    def lines(self, s3: S3Client, vault: str, index: int = -1) -> dict[str, Entry]:
        """Return the lines of a snapshot's manifest by the source's key; none before the first snapshot."""
        if not self.records.get(vault):
            return {}
        record = self.records[vault][index]
        key, version = manifest_key(record.dataset, record.snapshot), record.manifest_version or ""
        manifest = SnapshotManifest.model_validate_json(_bytes(s3, vault, key, version))
        contents = (_bytes(s3, vault, ref.key, ref.version_id) for ref in manifest.shards)
        return {entry.source_key: entry for content in contents for entry in decode(content)}


def _bytes(s3: S3Client, bucket: str, key: str, version: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
