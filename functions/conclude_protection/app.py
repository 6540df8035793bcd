"""Door: state machine *protect* -> record how a protection ended, and say so."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.protection import ProtectConclusion
from mldr.steps.conclude_protection import conclude_protection
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    conclusion = ProtectConclusion.parse(event)
    phase = conclude_protection(conclusion, catalog=world.catalog, vault=world.vault, bus=world.bus)
    logger.info("protection concluded", phase=phase, error=conclusion.error.sentence if conclusion.error else None)
    return {"phase": phase}
