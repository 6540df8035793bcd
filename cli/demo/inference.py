"""Travels with the model as code/inference.py: how the scikit-learn container serves the classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
from sklearn.pipeline import make_pipeline


def model_fn(model_dir: str) -> Any:
    """Load the stages of the classifier, each from a file of its own."""
    return make_pipeline(*(joblib.load(stage) for stage in sorted(Path(model_dir).glob("*.joblib"))))


def input_fn(body: str, content_type: str) -> list[list[float]]:
    """Read one image: 64 grey values."""
    if content_type != "application/json":
        raise ValueError(f"send application/json, not {content_type}")
    return [json.loads(body)["pixels"]]


def predict_fn(images: list[list[float]], model: Any) -> dict[str, Any]:
    """Return the digit and how sure the model is of each."""
    chances = model.predict_proba(images)[0]
    return {"digit": int(chances.argmax()), "chances": [round(float(chance), 9) for chance in chances]}


def output_fn(answer: dict[str, Any], accept: str) -> tuple[str, str]:
    """Write the answer as JSON, whatever was asked for."""
    return json.dumps(answer), "application/json"
