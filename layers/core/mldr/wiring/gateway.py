"""What a gateway answers with: endpoints, kept predictions, deep health."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from mldr.domain.warming import LONGEST_ANSWER
from mldr.sdk import CACHE, FRONT, PROMPT
from mldr.wiring.outside import Edges
from mldr.wiring.serving import Targets

if TYPE_CHECKING:
    from mldr.ports.serving import Offers, PredictionCache, Serving
    from mldr.steps.cache_predictions import Predictions
    from mldr.steps.deep_health import DeepHealth


class Gateways(Targets, Edges):
    """Adapters of what a gateway answers with."""

    @cached_property
    def front_serving(self) -> Serving:
        """What the gateway asks: Route 53's checkers are many, SageMaker's control plane answers few. It gives up while
        the gateway can still answer its client.
        """
        from mldr.aws.serving import GLANCE, SageMakerServing

        runtime: Any = self._session.create_client("sagemaker-runtime", region_name=self.env.aws_region, config=FRONT)
        sagemaker = SageMakerServing(
            lambda: self._client("sagemaker"),
            lambda: runtime,
            lambda: self._client("application-autoscaling"),
            lambda: self._client("cloudwatch"),
            glance=GLANCE,
        )
        return self._targets(sagemaker, glance=GLANCE, timeout=LONGEST_ANSWER)

    @cached_property
    def prompt_serving(self) -> Serving:
        """What deep health asks: it gives up before a health checker does."""
        from mldr.aws.serving import SageMakerServing

        runtime: Any = self._session.create_client("sagemaker-runtime", region_name=self.env.aws_region, config=PROMPT)
        sagemaker = SageMakerServing(
            lambda: self._client("sagemaker"),
            lambda: runtime,
            lambda: self._client("application-autoscaling"),
            lambda: self._client("cloudwatch"),
        )
        return self._targets(sagemaker, timeout=1.0)

    @cached_property
    def offers(self) -> Offers:
        from mldr.aws.prediction_cache import QueuedOffers

        return QueuedOffers(
            self._own_client("sqs", CACHE), queue_url=self.env.prediction_queue_url, region=self.env.aws_region
        )

    @cached_property
    def predictions(self) -> Predictions:
        """The prediction cache as the gateway uses it: it waits for no answer of the cache."""
        from mldr.aws.prediction_cache import DynamoPredictionCache

        return self._predictions(
            DynamoPredictionCache(self._own_client("dynamodb", CACHE), table=self.env.prediction_table)
        )

    @cached_property
    def keeping(self) -> Predictions:
        """The prediction cache as its keeper uses it: patiently."""
        from mldr.aws.prediction_cache import DynamoPredictionCache

        return self._predictions(
            DynamoPredictionCache(lambda: self._client("dynamodb"), table=self.env.prediction_table)
        )

    def _predictions(self, held: PredictionCache) -> Predictions:
        from mldr.steps.cache_predictions import Predictions

        return Predictions(
            region=self.env.aws_region,
            cache=held,
            endpoints=self.own_endpoints,
            catalog=self.catalog,
            policies=self.policies,
            clock=self.clock,
        )

    @cached_property
    def deep_health(self) -> DeepHealth:
        from mldr.steps.deep_health import DeepHealth

        return DeepHealth(
            catalog=self.catalog,
            vault=self.vault,
            policies=self.policies,
            serving=self.front_serving,
            prompt=self.prompt_serving,
            proofs=self.proofs,
            goldens=self.goldens,
            clock=self.clock,
        )
