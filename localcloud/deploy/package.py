"""What `sam build` and `sam package` do: code folders become archives, definition files become part of the template."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from localcloud.deploy.errors import DeployError

Upload = Callable[[str, bytes], dict[str, str]]
SKIPPED = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def package(template: dict[str, Any], root: Path, upload: Upload) -> None:
    """Replace every local path in the template, in place; `upload` stores an archive and says where."""
    for name, resource in template.get("Resources", {}).items():
        properties = resource.get("Properties", {})
        match resource.get("Type"):
            case "AWS::Serverless::Function":
                _function(name, properties, root, upload, template)
            case "AWS::Serverless::LayerVersion":
                _layer(name, properties, root, upload)
            case "AWS::Serverless::StateMachine":
                _state_machine(name, properties, root)


def _function(name: str, properties: dict[str, Any], root: Path, upload: Upload, template: dict[str, Any]) -> None:
    shared = template.get("Globals", {}).get("Function", {}).get("CodeUri")
    folder = properties.get("CodeUri", shared)
    if isinstance(folder, str):
        properties["CodeUri"] = upload(name, archive(_existing(name, root / folder)))


def _layer(name: str, properties: dict[str, Any], root: Path, upload: Upload) -> None:
    folder = properties.get("ContentUri")
    if isinstance(folder, str):
        properties["ContentUri"] = upload(
            name, archive(_existing(name, root / folder), under="python", packages_only=True)
        )


def _state_machine(name: str, properties: dict[str, Any], root: Path) -> None:
    uri = properties.get("DefinitionUri")
    if isinstance(uri, str):
        path = _existing(name, root / uri)
        text = path.read_text()
        properties["Definition"] = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        del properties["DefinitionUri"]


def _existing(name: str, path: Path) -> Path:
    if not path.exists():
        raise DeployError(f"{name}: {path} does not exist")
    return path


def archive(folder: Path, under: str = "", *, packages_only: bool = False) -> bytes:
    """A zip of the folder. Third-party packages stay out: workers find them in the running virtual environment."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path in sorted(_files(folder, packages_only=packages_only)):
            # A fixed date keeps the archive's hash, and so the function's identity, the same for the same code.
            entry = zipfile.ZipInfo(str(Path(under) / path.relative_to(folder)), (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _files(folder: Path, *, packages_only: bool) -> Iterator[Path]:
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        if path.is_file() and not SKIPPED & set(inside) and not (packages_only and len(inside) == 1):
            yield path
