"""Door: Step Functions -> record what became of every model of a region, and tell the bus."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.evacuation import EvacuationConclusion
from mldr.steps.conclude_evacuation import Place, conclude_evacuation
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    concluded = conclude_evacuation(
        EvacuationConclusion.parse(event),
        place=Place(region=world.env.aws_region, peer=world.env.peer_region),
        catalog=world.catalog,
        evidence=world.evidence,
        vault=world.vault,
        workflows=world.workflows,
        bus=world.bus,
        pager=world.pager,
        clock=world.clock,
    )
    logger.info(concluded.reason, outcome=concluded.outcome, sequence=concluded.sequence)
    return {"ended": concluded.ended, "outcome": concluded.outcome}
