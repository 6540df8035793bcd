"""What an EventBridge target receives: Input, InputPath or InputTransformer applied to an event."""

import json
import re
from typing import Any

PLACEHOLDER = re.compile(r"<([^<>\s]+)>")
STEP = re.compile(r"\.([^.\[\]]+)|\['([^']*)'\]|\[(\d+)\]")
MISSING = object()


def render(target: dict[str, Any], event: dict[str, Any], rule_arn: str, rule_name: str) -> str:
    """The text that the target receives."""
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        found = look_up(target["InputPath"], event)
        return json.dumps(None if found is MISSING else found)
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    known = {name: look_up(path, event) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    known |= {
        "aws.events.event": event, "aws.events.event.json": event, "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_name, "aws.events.event.ingestion-time": event["time"],
    }  # fmt: skip
    return _fill(transformer["InputTemplate"], known)


def look_up(path: str, event: dict[str, Any]) -> Any:
    """What a JSON path like $.detail.name names in the event, or MISSING."""
    found: Any = event
    for step in STEP.finditer(path.removeprefix("$")):
        key: Any = int(step[3]) if step[3] else step[1] or step[2]
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return found


def _fill(template: str, known: dict[str, Any]) -> str:
    """Placeholders within quotes become text, bare ones become JSON, missing ones become empty or null."""
    pieces = re.split(r'("(?:[^"\\]|\\.)*")', template)
    is_json = template.lstrip()[:1] in ("{", "[")
    if template.lstrip().startswith('"'):
        is_json = False
    filled = []
    for piece in pieces:
        quoted = piece.startswith('"')
        filled.append(PLACEHOLDER.sub(lambda found, quoted=quoted: _value(found, known, quoted, is_json), piece))
    return "".join(filled)


def _value(found: re.Match[str], known: dict[str, Any], quoted: bool, is_json: bool) -> str:
    if found[1] not in known:
        return found[0]
    value = known[found[1]]
    if not quoted:
        return "null" if value is MISSING else json.dumps(value)
    if value is MISSING:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text)[1:-1] if is_json else text.replace('"', '\\"')
