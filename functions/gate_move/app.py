"""Door: state machine *failover* -> let a planned move begin, or say what it waits for."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import MoveTask
from mldr.steps.gate_move import gate_move
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    gate = gate_move(
        MoveTask.parse(event),
        region=world.env.aws_region,
        peer_region=world.env.peer_region,
        catalog=world.catalog,
        registry=world.registry,
        policies=world.policies,
        outside=world.outside,
        bus=world.bus,
        clock=world.clock,
    )
    logger.info(gate.reason, ready=gate.ready)
    return {**gate.model_dump(mode="json"), "at": world.clock.now().isoformat()}
