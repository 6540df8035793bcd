"""What several commands take: the model, and whether and how long to wait."""

from __future__ import annotations

from typing import Annotated

import typer

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="churn, or sagemaker/churn.", show_default=False)]
Wait = Annotated[bool, typer.Option("--wait", help="Show how far it is; the exit code is the outcome.")]
Timeout = Annotated[float, typer.Option(help="Seconds for which --wait waits.", min=1)]
