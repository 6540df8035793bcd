"""What is known: the catalog, datasets, decisions and registries."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mldr.wiring.stack import Stack

if TYPE_CHECKING:
    from mldr.ports.catalog import Catalog
    from mldr.ports.datasets import Datasets
    from mldr.ports.health import Decisions, Proofs, Survivors
    from mldr.ports.registry import Images, Registry
    from mldr.ports.serving import Reminders, ScalingLimits, Setbacks


class Records(Stack):
    """Adapters of what is known."""

    @cached_property
    def catalog(self) -> Catalog:
        from mldr.aws.catalog import DynamoCatalog

        return DynamoCatalog(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def datasets(self) -> Datasets:
        from mldr.aws.datasets import DynamoDatasets

        return DynamoDatasets(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def decisions(self) -> Decisions:
        from mldr.aws.decisions import DynamoDecisions

        return DynamoDecisions(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def survivors(self) -> Survivors:
        from mldr.aws.survivors import DynamoSurvivors

        return DynamoSurvivors(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def scaling_limits(self) -> ScalingLimits:
        from mldr.aws.scaling_limits import AutoScalingLimits

        return AutoScalingLimits(lambda: self._client("application-autoscaling"))

    @cached_property
    def proofs(self) -> Proofs:
        from mldr.aws.proofs import DynamoProofs

        return DynamoProofs(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def setbacks(self) -> Setbacks:
        from mldr.aws.setbacks import DynamoSetbacks

        return DynamoSetbacks(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def reminders(self) -> Reminders:
        from mldr.aws.reminders import QueuedReminders

        return QueuedReminders(lambda: self._client("sqs"), queue_url=self.env.tiers_queue_url)

    @cached_property
    def registry(self) -> Registry:
        from mldr.registries.sagemaker import SageMakerRegistry

        return SageMakerRegistry(self._client("sagemaker", self.env.peer_region), self._client("sagemaker"))

    @cached_property
    def images(self) -> Images:
        from mldr.aws.images import EcrImages

        return EcrImages(lambda region: self._client("ecr", region))
