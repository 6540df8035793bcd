"""`mldr status`: what could be recovered now, from the catalog of the standby region."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli.outcomes import Ended, Exit, bad_input
from cli.output import AsJson, err, moment, out, phase, print_json, print_table, seconds, size, table, width
from cli.progress import progress_of, sentence, share, told
from cli.regions import Environment, Looked, Place, Region, look, places, role_in, route_in, silence
from cli.unkept import unkept_in
from mldr.domain.identity import ModelKey
from mldr.domain.lag import lag
from mldr.domain.recovery_point import Phase, Record, newest_restorable
from mldr.domain.transfers import owner_of
from mldr.errors import MldrError

LABEL = 17  # columns before a value
Model = Annotated[
    str | None,
    typer.Argument(metavar="[MODEL]", help="A model: churn, or sagemaker/churn. Without it: all.", show_default=False),
]


Missing = Annotated[bool, typer.Option("--missing", help="List what of the newest recovery point has not arrived.")]


def status(
    model: Model = None,
    missing: Missing = False,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
) -> None:
    """Show a model's newest recovery point, or one line per model.

    [dim]$[/] mldr status digits-classifier
    [dim]$[/] mldr status digits-classifier --json | jq -r .phase
    [dim]$[/] mldr status digits-classifier --missing

    While bytes move it says how far they are; `complete` in the JSON says whether the entire newest version is there.

    Exit codes: 0 there is a point to recover from (without MODEL: for every model), 1 there is none, 2 no such model
    name or region, 3 no catalog could be read.
    """
    where = places(region, env)
    if model is None:
        if missing:
            raise bad_input("--missing speaks of one model", "name it: mldr status MODEL --missing")
        _all(where, as_json)
    else:
        _one(ModelKey.parse(model), where, missing=missing, as_json=as_json)


def describe(place: Place, model: ModelKey, *, missing: bool = False) -> dict[str, Any] | None:
    """Return what a region's catalog knows of a model, `missing` also what has not arrived; None without a record."""
    catalog = place.catalog
    records = sorted(catalog.records(model), key=_promotion)
    if not records:
        return None
    newest, usable = records[-1], newest_restorable(records)
    epoch, knowledge = catalog.epoch(model), catalog.leadership(model)
    route = route_in(place, model, knowledge)
    known = role_in(place, knowledge, route)
    takeover, beside, setback = knowledge.takeover, knowledge.beside, place.setbacks.of(model)
    owner = owner_of("model", str(model))
    sealed, checked = newest.phase is Phase.SEALED, place.scrubs.last(owner)
    moving = None if sealed else progress_of(place, owner, newest.recovery_point)
    return {
        **point(newest),
        "complete": sealed or bool(moving and moving.complete),
        "transfer": told(moving, missing=missing),
        "lag_seconds": round(lag(records, dt.datetime.now(dt.UTC)).total_seconds(), 3),
        "checked": checked.model_dump(mode="json") if checked else None,
        "serving": serving_of(place, model),
        "unkept": _unkept(place, model),
        "standing": [one.model_dump(mode="json") for one in place.standing.held() if one.model == str(model)],
        "setback": setback.model_dump(mode="json") if setback else None,
        "region": place.region,
        "recoverable": usable.recovery_point if usable else None,
        "role": known.model_dump(mode="json") if known else None,
        "name": route.name if route else None,
        "epoch": epoch.model_dump(mode="json") if epoch else None,
        "takeover": takeover.model_dump(mode="json") if takeover else None,
        "beside": beside.model_dump(mode="json") if beside else None,
        "health": catalog.health(model).model_dump(mode="json"),
        "points": [point(record) for record in reversed(records)],
    }


def _unkept(place: Place, model: ModelKey) -> list[str]:
    """Return what the model does not get, though its policy says it; or why that cannot be told."""
    try:
        policy, _ = place.policies.load()
    except MldrError as error:
        return [f"the policy of {place.region} cannot be read: {error}"]
    return list(unkept_in(place, model, policy))


def serving_of(place: Place, model: ModelKey) -> dict[str, Any]:
    """Return what was captured of how the active region serves a model, and why the last look was refused."""
    state, refusal = place.captures.newest(model), place.captures.refusal(model)
    return {
        "captured_at": state.captured_at.isoformat() if state else None,
        "endpoint": state.endpoint if state else None,
        "reason": state.reason if state else None,
        "variants": [one.model_dump(mode="json") for one in state.live] if state else [],
        "left_out": state.left_out if state else {},
        "points": list(state.points) if state else [],
        "refused": refusal.model_dump(mode="json") if refusal and refusal.reason else None,
    }


def _promotion(record: Record) -> tuple[Any, ...]:
    return record.origin.promoted_at, record.started_at


def point(record: Record) -> dict[str, Any]:
    """Return one recovery point as JSON shows it."""
    promoted, sealed = record.origin.promoted_at, record.sealed_at
    return {
        "model": str(record.model),
        "phase": record.phase.value,
        "recovery_point": record.recovery_point,
        "sealed_at": sealed.isoformat() if sealed else None,
        "objects": record.objects,
        "bytes": record.bytes,
        "reason": record.reason,
        "restorable": record.restorable,
        "attempt": record.attempt,
        "promoted_at": promoted.isoformat(),
        "rpo_seconds": round((sealed - promoted).total_seconds(), 3) if sealed else None,
        "source_arn": record.origin.arn,
        "target_arn": record.target_arn,
        "warnings": list(record.warnings),
        "withdrawn": record.withdrawn,
        "damaged": record.damaged,
    }


def _one(model: ModelKey, where: list[Place], *, missing: bool, as_json: bool) -> None:
    looked = look(where, lambda place: describe(place, model, missing=missing))
    found = [answer for answer in looked.answers.values() if answer]
    if not found:
        raise _unknown(model, looked)
    newest = {**_told_by(found), "grown": _grown(model, where)}
    if as_json:
        print_json(newest)
    else:
        _show(newest)
        if missing:
            _show_missing(newest)
        _complain(looked)
    if newest["recoverable"] is None:
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


def _told_by(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of the region that would take the model over, and who serves as the one knows that knows most.

    Once a model came home both regions have points of it: those of the one that serves are not what is recovered from.
    """
    waiting = max(found, key=lambda one: (not _serving_now(one), one["promoted_at"]))
    knows = max(found, key=lambda one: one["role"]["epoch"] if one["role"] else -1)
    return {**waiting, "role": knows["role"]}


def _serving_now(answer: dict[str, Any]) -> bool:
    return bool(answer["role"] and answer["role"]["serving"])


def _grown(model: ModelKey, where: list[Place]) -> dict[str, Any]:
    """Return, by region, how a home carries the load of both since the region beside it is not well."""
    found = look(where, lambda place: place.survivors.of(model).growth).answers
    return {region: growth.model_dump(mode="json") for region, growth in found.items() if growth}


def _unknown(model: ModelKey, looked: Looked) -> Ended:
    advice = f"approve a version in the registry, or run `mldr protect {model.name}`"
    if looked.silent:
        return Ended(Exit.CANNOT_OBSERVE, f"no region that answers knows {model}; {silence(looked)}", advice)
    return Ended(Exit.DOES_NOT_HOLD, f"{model} was never captured in {', '.join(looked.answers)}", advice)


def _complain(looked: Looked) -> None:
    if looked.silent:
        err.print(f"[yellow]![/] {escape(silence(looked))}")


def _show(found: dict[str, Any]) -> None:
    verdict = "[green]can be recovered[/]" if found["recoverable"] else "[red]cannot be recovered[/]"
    out.print(f"[bold]{found['model']}[/] {verdict} in {found['region']}")
    rows = table("", "")
    rows.show_header = False
    for name, value in _lines(found):
        if value:
            rows.add_row(f"[dim]{name}[/]", value)
    print_table(rows)


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    takeover, health, epoch = found["takeover"], found["health"], found["epoch"]
    others = [other for other in found["points"][1:] if other["restorable"]]
    return [
        ("recovery point", f"{found['recovery_point']}  {phase(found['phase'])}"),
        ("reason", escape(found["reason"])),
        ("withdrawn", escape(found["withdrawn"] or "")),
        ("damaged", f"[red]{escape(found['damaged'])}[/]" if found["damaged"] else ""),
        ("arrived", arrived(found)),
        ("behind", f"[yellow]{seconds(found['lag_seconds'])}[/]" if found["lag_seconds"] else ""),
        ("would restore", found["recoverable"] if found["recoverable"] != found["recovery_point"] else ""),
        ("promoted", moment_of(found["promoted_at"])),
        (
            "sealed",
            f"{moment_of(found['sealed_at'])}, {seconds(found['rpo_seconds'])} later" if found["sealed_at"] else "",
        ),
        ("holds", f"{found['objects']} objects, {size(found['bytes'])}"),
        ("checked", _checked(found["checked"])),
        ("serving state", _serving(found["serving"])),
        ("not captured", _refused(found["serving"]["refused"])),
        *(("not as promised", f"[yellow]{escape(sentence)}[/]") for sentence in found["unkept"]),
        ("stands ready", _standing(found["standing"])),
        ("does not stand", _setback(found["setback"])),
        ("attempt", str(found["attempt"]) if found["attempt"] > 1 else ""),
        ("registered as", found["target_arn"] or ""),
        ("name", found["name"] or "[yellow]not onboarded: no traffic can be switched yet[/]"),
        ("peer's health", "" if takeover else f"{health['verdict']} [dim]{escape(health['reason'])}[/]"),
        ("now", found["role"]["reason"] if found["role"] else ""),
        ("epoch", _claim(epoch) if epoch else ""),
        ("answers beside", _beside(found["beside"], takeover)),
        *(("carries both", _carries(region, growth)) for region, growth in found["grown"].items()),
        ("taken over", f"since {moment_of(takeover['flipped_at'])} by {takeover['endpoint']}" if takeover else ""),
        ("older points", f"{len(others)} more can be restored" if others else ""),
        *(("warning", f"[yellow]{escape(warning)}[/]") for warning in found["warnings"]),
    ]


def arrived(found: dict[str, Any]) -> str:
    """Return how far the newest point is, while it is not sealed."""
    moving = found["transfer"]
    return sentence(moving, width() - LABEL) if moving and found["phase"] != Phase.SEALED else ""


def _show_missing(found: dict[str, Any]) -> None:
    if found["complete"]:
        out.print("nothing is missing: the entire version has arrived")
        return
    if found["transfer"] is None:
        out.print("all of it is missing: what belongs to the version is still being listed")
        return
    rows = table("not there yet", "objects", "moves", "first name", "last name")
    for item in found["transfer"]["missing"]:
        # Ranges of one large object have no names of their own: their object's shard has.
        names = (escape(item["first"]), escape(item["last"]))
        rows.add_row(item["item"], str(item["objects"] or ""), size(item["bytes"]), *names)
    print_table(rows)


def _checked(tally: dict[str, Any] | None) -> str:
    if tally is None:
        return ""
    read = f"{tally['objects']} objects, {size(tally['bytes'])}"
    wrong = {name: tally[name] for name in ("bad", "repaired", "unread", "unchecked") if tally[name]}
    verdict = ", ".join(f"{count} {name}" for name, count in wrong.items()) or "sound"
    colour = "green" if not wrong else "red" if tally["bad"] else "yellow"
    return f"{moment_of(tally['checked_at'])}: [{colour}]{verdict}[/], {read} of {tally['sample']:g} %"


def _serving(captured: dict[str, Any]) -> str:
    """Return what would be restored, and of when it is."""
    if captured["captured_at"] is None:
        return "[dim]not captured: the policy's instance type and count would be restored[/]"
    variants = [
        f"{one['variant']} {'serverless' if one['instances'] is None else one['instances']}"
        f"{' shadow' if one['shadow'] else ''} weight {one['weight']:g}"
        for one in captured["variants"]
    ]
    left = f"; without {', '.join(captured['left_out'])}" if captured["left_out"] else ""
    return f"{moment_of(captured['captured_at'])}: {escape(', '.join(variants))}{escape(left)}"


def _standing(held: list[dict[str, Any]]) -> str:
    """Return the endpoints that mldr has for the model in this region."""

    def one(endpoint: dict[str, Any]) -> str:
        counts = ", ".join(f"{name} {count['desired']}" for name, count in endpoint["counts"].items())
        return (
            f"{endpoint['name']} {endpoint['status']}, {endpoint['recovery_point']}{f' ({counts})' if counts else ''}"
        )

    return escape("; ".join(one(endpoint) for endpoint in held))


def _setback(setback: dict[str, Any] | None) -> str:
    """Return what keeps an endpoint from standing as its tier promises."""
    if setback is None:
        return ""
    met = setback["met"]
    said = f"{met['version']}, since {moment_of(setback['since'])}: {met['kind']}: {met['reason']}"
    colour = "yellow" if met["passing"] else "red"
    return f"[{colour}]{escape(said)}[/]"


def _beside(beside: dict[str, Any] | None, takeover: dict[str, Any] | None) -> str:
    """Return that the standby answers clients, too, while the home holds the epoch."""
    if beside is None:
        return ""
    if takeover:
        return f"not now: what answered beside {beside['home']} until the takeover is {escape(beside['endpoint'])}"
    counts = ", ".join(f"{name} {count}" for name, count in beside["counts"].items())
    until = f", until DNS has forgotten it: its tier wants it no more since {moment_of(beside['leaving'])}"
    said = f"{beside['endpoint']} ({counts}) beside {beside['home']}, since {moment_of(beside['since'])}"
    return escape(said + (until if beside["leaving"] else ""))


def _carries(region: str, growth: dict[str, Any]) -> str:
    """Return how far a home has grown."""
    counts = ", ".join(f"{name} {growth['before'].get(name, 0)} → {count}" for name, count in growth["wanted"].items())
    if growth["refused"]:
        return f"[red]{escape(region)}: {escape(counts)} was refused: {escape(growth['refused'])}[/]"
    since = f"since {moment_of(growth['scaled_at'])}" if growth["scaled_at"] else "asked for"
    return escape(f"{region}: {counts}, {since}; it goes back by itself")


def _claim(epoch: dict[str, Any]) -> str:
    open_ = "" if epoch["concluded"] else " [yellow]open[/]: `mldr epoch` says what works for it"
    return f"{epoch['number']}, failover {escape(epoch['failover_id'])}{open_}"


def _refused(refusal: dict[str, Any] | None) -> str:
    return f"[red]{moment_of(refusal['at'])}: {escape(refusal['reason'])}[/]" if refusal else ""


def moment_of(text: str | None) -> str:
    """Return an ISO time as people read it."""
    return moment(dt.datetime.fromisoformat(text).astimezone(dt.UTC)) if text else "-"


def _all(where: list[Place], as_json: bool) -> None:
    looked = look(where, lambda place: [describe(place, model) for model in place.catalog.models()])
    answers = [model for models in looked.answers.values() for model in models if model]
    by_model = {one["model"]: [other for other in answers if other["model"] == one["model"]] for one in answers}
    found = [_told_by(by_model[name]) for name in sorted(by_model)]
    if as_json:
        print_json({"models": found, "not_observed": {region: str(why) for region, why in looked.silent.items()}})
    else:
        _table(found)
        _complain(looked)
    if not found or any(model["recoverable"] is None for model in found):
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


def _table(found: list[dict[str, Any]]) -> None:
    if not found:
        out.print("no model was captured yet; approve a version in the registry, or run `mldr protect MODEL`")
        return
    rows = table("model", "serves", "points in", "phase", "recovery point", "sealed", "holds")
    for model in found:
        held = f"{model['objects']} objects, {size(model['bytes'])}"
        row = (model["recovery_point"], moment_of(model["sealed_at"]), held)
        so_far = f" {share(model['transfer']):.0%}" if model["transfer"] else ""
        serves = model["role"]["holder"] if model["role"] else "-"
        rows.add_row(model["model"], serves, model["region"], phase(model["phase"]) + so_far, *row)
    print_table(rows)
