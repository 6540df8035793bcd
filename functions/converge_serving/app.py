"""Door: SQS -> let stand what each model's tier wants, and nothing else."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.serving import TiersWish
from mldr.steps.answer_beside import Answering
from mldr.steps.converge_serving import Tiers
from mldr.steps.onboard_model import Routes
from mldr.telemetry import logger

# Powertools' Logger is a logging.Logger in all but its type.
processor = BatchProcessor(event_type=EventType.SQS, logger=logger)  # type: ignore[arg-type]


def handle(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """One message, one look; an error here fails this message only."""
    world = wiring.world()
    routes = Routes(zone=world.env.zone_name, catalog=world.catalog, dns=world.dns, outside=world.outside)
    tiers = Tiers(
        region=world.env.aws_region,
        bucket=world.env.vault_bucket,
        roles=world.env.execution_roles,
        catalog=world.catalog,
        vault=world.vault,
        copier=world.copier,
        policies=world.policies,
        captures=world.serving_captures,
        serving=world.serving,
        endpoints=world.standing_endpoints,
        answering=Answering(
            catalog=world.catalog, vault=world.vault, serving=world.serving, routes=routes, clock=world.clock
        ),
        survivors=world.survivors,
        setbacks=world.setbacks,
        reminders=world.reminders,
        pager=world.pager,
        clock=world.clock,
    )
    for done in tiers.converge(TiersWish.parse(record.body), lambda_context.get_remaining_time_in_millis):
        logger.info(
            done.reason,
            model=done.model,
            actions=[one.verb for one in done.actions],
            beside=done.beside,
            met=done.met.reason if done.met else "",
        )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, handle, processor, context)
