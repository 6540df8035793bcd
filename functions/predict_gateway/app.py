"""Door: HTTP API -> predictions, deep health, the takeover switch of this region, and who serves a model."""

import base64
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.domain.identity import ModelKey
from mldr.domain.warming import MARK
from mldr.errors import BadEvent
from mldr.steps import serve_gateway
from mldr.steps.cache_predictions import Question
from mldr.telemetry import logger

app = APIGatewayHttpResolver()
# Lambda lends a whole processor while an environment starts: the clients are made then, and ask nobody yet.
wiring.at_start(
    "tokens", "leaders", "policies", "front_serving", "predictions", "deep_health",
    clients=("sagemaker",),
)  # fmt: skip


def respond(answer: serve_gateway.Answer) -> Response[Any]:
    # Text leaves as it is; Powertools encodes bytes as base64, and would serialise JSON bytes a second time.
    try:
        body: str | bytes = answer.body.decode()
    except UnicodeDecodeError:
        body = answer.body
    return Response(answer.status, content_type=answer.content_type, body=body, headers={**answer.headers})


def received(event: APIGatewayProxyEventV2) -> bytes:
    body = event.body or ""
    return base64.b64decode(body) if event.is_base64_encoded else body.encode()


@app.post("/models/<model>/invocations")
def invocations(model: str) -> Response[Any]:
    world, event = wiring.world(), app.current_event
    front = serve_gateway.Front(
        tokens=world.tokens,
        leaders=world.leaders,
        policies=world.policies,
        serving=world.front_serving,
        predictions=world.predictions,
        offers=world.offers,
    )
    answer = front.predict(
        ModelKey.parse(model),
        Question(
            body=received(event),
            content_type=event.headers.get("content-type", "application/json"),
            accept=event.headers.get("accept", ""),
            cache_control=event.headers.get("cache-control", ""),
            warm=MARK in event.headers,
        ),
        token=event.headers.get("authorization", "").removeprefix("Bearer "),
    )
    if answer.note:
        logger.warning(answer.note, model=model)
    return respond(answer)


@app.get("/models/<model>/health")
def health(model: str) -> Response[Any]:
    world = wiring.world()
    answer = serve_gateway.health(
        ModelKey.parse(model),
        leaders=world.leaders,
        policies=world.policies,
        deep=world.deep_health,
    )
    return respond(answer)


@app.get("/models/<model>/takeover")
def takeover(model: str) -> Response[Any]:
    return respond(serve_gateway.takeover(ModelKey.parse(model), leaders=wiring.world().leaders))


@app.get("/models/<model>/epoch")
def epoch(model: str) -> Response[Any]:
    world = wiring.world()
    return respond(serve_gateway.epoch(ModelKey.parse(model), leaders=world.leaders, catalog=world.catalog))


@app.exception_handler(BadEvent)  # type: ignore[untyped-decorator]  # Powertools leaves it untyped
def refuse(error: BadEvent) -> Response[Any]:
    return respond(serve_gateway.refused(str(error)))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
