"""Door: state machine *failover* -> record the evidence of a failover, and say how it ended."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import FailoverConclusion
from mldr.steps.conclude_failover import conclude_failover
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    record = conclude_failover(
        FailoverConclusion.parse(event),
        region=world.env.aws_region,
        catalog=world.catalog,
        evidence=world.evidence,
        bus=world.bus,
        pager=world.pager,
        clock=world.clock,
    )
    logger.info(record.reason, outcome=record.outcome, epoch=record.epoch)
    return {"outcome": record.outcome, "reason": record.reason}
