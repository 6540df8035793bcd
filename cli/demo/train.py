"""Train the demo's model on handwritten digits, and store it as SageMaker's scikit-learn container wants it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SCRIPT = Path(__file__).with_name("inference.py")
SAMPLES = 48


@dataclass(frozen=True)
class Trained:
    """A model as it is uploaded, how good it is, and images that it has never seen."""

    files: Mapping[str, bytes]  # by the name that each has in the model's folder
    accuracy: float
    images: int
    samples: tuple[tuple[float, ...], ...]


def train() -> Trained:
    """Return the classifier: the same one each time."""
    images, digits = load_digits(return_X_y=True)
    seen, unseen, answers, truth = train_test_split(images, digits, test_size=0.25, random_state=7, stratify=digits)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(seen, answers)
    stages = {f"{number}-{name}.joblib": _dumped(stage) for number, (name, stage) in enumerate(model.steps, start=1)}
    files = {"code/inference.py": SCRIPT.read_bytes(), **stages}
    samples = tuple(tuple(float(value) for value in image) for image in unseen[:SAMPLES])
    return Trained(files, float(model.score(unseen, truth)), len(images), samples)


def _dumped(stage: Any) -> bytes:
    dumped = io.BytesIO()
    joblib.dump(stage, dumped)
    return dumped.getvalue()
