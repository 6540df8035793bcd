"""Door: SQS -> capture how the active region serves a model."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.serving import ServingWish
from mldr.steps.capture_serving import Capturing
from mldr.telemetry import logger

# Powertools' Logger is a logging.Logger in all but its type.
processor = BatchProcessor(event_type=EventType.SQS, logger=logger)  # type: ignore[arg-type]


def handle(record: SQSRecord) -> None:
    """One message, one look; an error here fails this message only."""
    world = wiring.world()
    capturing = Capturing(
        region=world.env.aws_region,
        peer_region=world.env.peer_region,
        roles=world.env.execution_roles,
        answer_places=world.env.answer_places,
        catalog=world.catalog,
        vault=world.vault,
        policies=world.policies,
        images=world.images,
        source=world.serving_source,
        captures=world.serving_captures,
        bus=world.bus,
        clock=world.clock,
    )
    for outcome in capturing.capture(ServingWish.parse(record.body)):
        logger.info(outcome.reason, model=outcome.model, action=outcome.action)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, handle, processor, context)
