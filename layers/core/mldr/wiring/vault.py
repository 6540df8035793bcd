"""Where bytes lie: the vault, what is copied into it, brought back from it and checked in it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mldr.wiring.stack import Stack

if TYPE_CHECKING:
    from mldr.ports.datasets import Restorer
    from mldr.ports.health import Goldens
    from mldr.ports.sources import Sources
    from mldr.ports.vault import Copier, DigestJobs, EvidenceStore, Scrubs, Vault, VaultBytes


class Vaults(Stack):
    """Adapters of where bytes lie."""

    @cached_property
    def sources(self) -> Sources:
        from mldr.aws.sources import S3Sources

        return S3Sources(self._client("s3", self.env.peer_region))

    @cached_property
    def vault(self) -> Vault:
        from mldr.aws.vault import S3Vault

        return S3Vault(self._client("s3"), bucket=self.env.vault_bucket, key_arn=self.env.vault_key_arn)

    @cached_property
    def copier(self) -> Copier:
        from mldr.aws.copier import S3Copier

        return S3Copier(
            self._client("s3"),
            self._client("s3", self.env.peer_region),
            bucket=self.env.vault_bucket,
            key_arn=self.env.vault_key_arn,
        )

    @cached_property
    def restorer(self) -> Restorer:
        from mldr.aws.restorer import S3Restorer

        return S3Restorer(self._client("s3"), vault=self.env.vault_bucket)

    @cached_property
    def vault_bytes(self) -> VaultBytes:
        from mldr.aws.vault_bytes import S3VaultBytes

        return S3VaultBytes(self._client("s3"), bucket=self.env.vault_bucket)

    @cached_property
    def digest_jobs(self) -> DigestJobs:
        from mldr.aws.batch_operations import S3BatchOperations

        return S3BatchOperations(
            self._client("s3control"),
            self._client("s3"),
            bucket=self.env.vault_bucket,
            role_arn=self.env.digest_role_arn,
        )

    @cached_property
    def scrubs(self) -> Scrubs:
        from mldr.aws.scrubs import DynamoScrubs

        return DynamoScrubs(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def goldens(self) -> Goldens:
        from mldr.aws.goldens import S3Goldens

        return S3Goldens(self._client("s3"))

    @cached_property
    def evidence(self) -> EvidenceStore:
        from mldr.aws.evidence import VaultEvidence

        return VaultEvidence(self.vault, self.clock.now)
