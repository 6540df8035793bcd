"""Run by the interpreter of .venv-kserve: KServe's own model server, with a model that multiplies by what it loaded."""

import argparse
from pathlib import Path

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.model_server import parser as options


class Multiplier(Model):  # type: ignore[misc]
    """Loads a factor from its storage, as a real model loads its weights."""

    def __init__(self, name: str, storage: Path) -> None:
        super().__init__(name)
        self._storage, self._factor = storage, 0.0

    def load(self) -> bool:
        """Read the factor; ready from then on."""
        self._factor = float((self._storage / "factor.txt").read_text())
        self.ready = True
        return self.ready

    def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        """Multiply every number."""
        [given] = payload.inputs
        numbers = [float(one) * self._factor for one in given.data]
        output = InferOutput("out", [len(numbers)], "FP32", data=numbers)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    told = argparse.ArgumentParser(parents=[options], conflict_handler="resolve")
    told.add_argument("--storage", type=Path, required=True)
    arguments = told.parse_args()
    model = Multiplier(arguments.model_name, arguments.storage)
    model.load()
    ModelServer(http_port=arguments.http_port, enable_grpc=False, workers=1).start([model])
