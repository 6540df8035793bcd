"""Door: HTTP API -> what a gateway of another pair of regions looks like from this one."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.domain.identity import ModelKey
from mldr.errors import BadEvent
from mldr.steps.bear_witness import bear_witness
from mldr.telemetry import logger

app = APIGatewayHttpResolver()


@app.get("/witness/<model>")
def witness(model: str) -> Response[Any]:
    world, event = wiring.world(), app.current_event
    answer = bear_witness(
        ModelKey.parse(model),
        event.query_string_parameters.get("host", ""),
        event.headers.get("authorization", "").removeprefix("Bearer "),
        tokens=world.tokens,
        outside=world.outside,
    )
    return Response(answer.status, content_type="application/json", body=answer.body)


@app.exception_handler(BadEvent)  # type: ignore[untyped-decorator]  # Powertools leaves it untyped
def refuse(error: BadEvent) -> Response[Any]:
    return Response(400, content_type="text/plain", body=str(error))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
