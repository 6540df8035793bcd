"""Door: SQS -> begin the recovery point of a promoted version."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.protection import Promotion
from mldr.steps.begin_protection import Protecting
from mldr.telemetry import logger

# Powertools' Logger is a logging.Logger in all but its type.
processor = BatchProcessor(event_type=EventType.SQS, logger=logger)  # type: ignore[arg-type]


def handle(record: SQSRecord) -> None:
    """One message, one promotion; an error here fails this message only."""
    world = wiring.world()
    protecting = Protecting(
        region=world.env.aws_region,
        peer_region=world.env.peer_region,
        registry=world.registry,
        catalog=world.catalog,
        vault=world.vault,
        policies=world.policies,
        workflows=world.workflows,
        bus=world.bus,
        clock=world.clock,
    )
    outcome = protecting.begin(Promotion.parse(record.body))
    for warning in outcome.warnings:
        logger.warning(warning, model=outcome.model)
    logger.info(outcome.reason, model=outcome.model, recovery_point=outcome.recovery_point, action=outcome.action)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, handle, processor, context)
