"""Say again, as a spec, what an older Knative revision serves: KServe keeps no spec but the newest.

A revision is what KServe made of a spec and a runtime. So the newest spec is taken, and whatever differs between the
two revisions is put back where it came from; a difference whose origin is not known fails the capture by its path.
Source: createKnativeService in kserve's pkg/controller/v1beta1/inferenceservice/reconcilers/knative/ksvc_reconciler.go.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from mldr.domain.kserve import Document
from mldr.errors import BadReference

SOURCE_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"
_AUTOSCALING = "autoscaling.knative.dev/"
_BY_ANNOTATION = {"min-scale": "minReplicas", "max-scale": "maxReplicas", "target": "scaleTarget"}
_BY_SPEC = {"containerConcurrency": "containerConcurrency", "timeoutSeconds": "timeout"}
_FOLLOWS = {"responseStartTimeoutSeconds"}  # KServe sets it from the timeout
_OF_A_CONTAINER = ("image", "command", "args", "env", "resources")
_OF_A_MODEL = ("image", "resources", "env")  # a runtime's arguments are added to the model's, so those cannot be told


def older_component(component: Mapping[str, Any], path: str, old: Document, new: Document) -> Document:
    """Return the component as the older revision serves it, without a canary. Raises BadReference by the path."""
    stable = copy.deepcopy(dict(component))
    stable.pop("canaryTrafficPercent", None)
    _put_back_uri(stable, path, _annotations(old).get(SOURCE_URI), _annotations(new).get(SOURCE_URI))
    for name, field in _BY_ANNOTATION.items():
        was, now = (_annotations(one).get(_AUTOSCALING + name) for one in (old, new))
        if was != now:
            _put(stable, field, int(was) if was is not None else None)
    was, now = (_annotations(one).get(f"{_AUTOSCALING}metric") for one in (old, new))
    if was != now:
        _put(stable, "scaleMetric", was)
    _put_back_spec(stable, path, old["spec"], new["spec"])
    return stable


def _annotations(revision: Document) -> Mapping[str, str]:
    annotations: Mapping[str, str] = revision["metadata"].get("annotations", {})
    return annotations


def _put(where: Document, field: str, value: Any) -> None:
    if value is None:
        where.pop(field, None)
    else:
        where[field] = value


def _put_back_uri(stable: Document, path: str, was: str | None, now: str | None) -> None:
    if was == now:
        return
    holder = next((one for one in stable.values() if isinstance(one, dict) and one.get("storageUri") == now), None)
    if holder is None or was is None or now is None:
        raise BadReference(
            f"{path}: the older revision was loaded from {was}, the newest from {now}, and no storageUri of the spec "
            "says so; finish the roll-out, or name models by storageUri"
        )
    holder["storageUri"] = was


def _put_back_spec(stable: Document, path: str, old: Document, new: Document) -> None:
    for field in sorted({*old, *new} - {"containers"} - _FOLLOWS):
        if old.get(field) == new.get(field):
            continue
        if field not in _BY_SPEC:
            raise _unknown(f"{path}.{field}")
        _put(stable, _BY_SPEC[field], old.get(field))
    was, now = ({one["name"]: one for one in revision.get("containers", [])} for revision in (old, new))
    if was.keys() != now.keys():
        raise _unknown(f"{path}.containers")
    for name, field in _differences(was, now):
        _put_back_field(stable, path, was[name], field)


def _differences(was: Mapping[str, Document], now: Mapping[str, Document]) -> Iterator[tuple[str, str]]:
    for name, container in was.items():
        for field in sorted({*container, *now[name]}):
            if container.get(field) != now[name].get(field):
                yield name, field


def _put_back_field(stable: Document, path: str, was: Document, field: str) -> None:
    name = was["name"]
    own = next((one for one in stable.get("containers", []) if one.get("name", name) == name), None)
    if own is not None and field in _OF_A_CONTAINER:
        _put(own, field, was.get(field))
        return
    model = stable.get("model")
    if model is None or field not in _OF_A_MODEL or was.get(field) is None or _taken_away(model, was, field):
        raise _unknown(f"{path}.containers[{name}].{field}")
    model[field] = was[field]


def _taken_away(model: Document, was: Document, field: str) -> bool:
    """A model's variables are laid over the runtime's, so a spec can add and change them, but not take one away."""
    if field != "env":
        return False
    return not {one["name"] for one in model.get("env", [])} <= {one["name"] for one in was["env"]}


def _unknown(path: str) -> BadReference:
    return BadReference(
        f"{path}: the older revision differs here from the newest, and no field of the spec can say so again; "
        "finish the roll-out, then it can be captured"
    )
