"""Door: state machine *scrub* -> mark what is damaged, page, and seal the report."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.scrub import ScrubConclusion
from mldr.steps.conclude_scrub import conclude_scrub
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    report = conclude_scrub(
        ScrubConclusion.parse(event),
        catalog=world.catalog,
        scrubs=world.scrubs,
        vault=world.vault,
        bus=world.bus,
        pager=world.pager,
        clock=world.clock,
    )
    logger.info("check of the vault concluded", run=report.run, outcome=report.outcome)
    return {"run": report.run, "outcome": report.outcome}
