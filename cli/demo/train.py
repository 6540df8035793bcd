"""Train the demo's model on handwritten digits, and pack it as SageMaker's scikit-learn container wants it."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

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

    archive: bytes
    accuracy: float
    images: int
    samples: tuple[tuple[float, ...], ...]


def train() -> Trained:
    """Return the classifier: the same one each time."""
    images, digits = load_digits(return_X_y=True)
    seen, unseen, answers, truth = train_test_split(images, digits, test_size=0.25, random_state=7, stratify=digits)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(seen, answers)
    dumped = io.BytesIO()
    joblib.dump(model, dumped)
    samples = tuple(tuple(float(value) for value in image) for image in unseen[:SAMPLES])
    return Trained(_archive(dumped.getvalue()), float(model.score(unseen, truth)), len(images), samples)


def _archive(model: bytes) -> bytes:
    packed = io.BytesIO()
    # Without a time in it, the same model is the same bytes.
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name, content in (("model.joblib", model), ("code/inference.py", SCRIPT.read_bytes())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
