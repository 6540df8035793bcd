"""`mldr local`: two AWS regions on this machine, deployed from template.yaml itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.local_api import LocalApi
from cli.outcomes import EXIT_CODES, Exit, bad_input
from cli.output import AsJson, out, print_json, print_table, table
from mldr.domain.regions import REGIONS

SAMPLE_POLICY = Path(__file__).resolve().parent.parent / "samplecfg" / "policy.yaml"
app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help=f"""Two AWS regions on this machine, deployed from template.yaml itself.

[dim]$[/] mldr local up                       [dim]# in one terminal; then export what it prints[/]
[dim]$[/] mldr local fail ap-southeast-1      [dim]# a region dies; what it holds is kept[/]
[dim]$[/] mldr local calls --json             [dim]# every API call, who made it, what became of it[/]

{EXIT_CODES}""",
)
RegionName = Annotated[str, typer.Argument(metavar="REGION", help="For example ap-southeast-1.", show_default=False)]


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Where AWS's APIs answer; 0 takes a free one.")] = 4566,
    dns_port: Annotated[int, typer.Option(help="Where Route 53's name servers answer; 0 takes a free one.")] = 5353,
    http_port: Annotated[int, typer.Option(help="Where the regions' HTTP fronts listen: 127.0.0.11, .12, …")] = 8080,
    regions: Annotated[
        str, typer.Option(help="Comma list; the last one is the standby.")
    ] = "ap-southeast-1,ap-southeast-3",
    witness: Annotated[
        str, typer.Option(help="A third region, whose stack only tells what it sees of the others' gateways.")
    ] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A template parameter; repeat as needed.")
    ] = None,
    policy: Annotated[Path, typer.Option(help="Uploaded to every region's PolicyLocation.")] = SAMPLE_POLICY,
    state: Annotated[Path, typer.Option(help="Working files and logs; emptied at the start.")] = Path(".mldr/local"),
) -> None:
    """Start the local cloud in the foreground; Ctrl-C stops it and everything that it started.

    Prints `ready`, then the environment to export in other terminals.

    [dim]$[/] mldr local up --set HealthCheckInterval=10 --set FailureThreshold=2

    Exit codes: 0 stopped on request, 1 could not start or deploy, 2 bad usage.
    """
    if not policy.is_file():
        raise bad_input(f"there is no policy at {policy}", "copy samplecfg/policy.yaml, or leave --policy out")
    names, parameters = _regions(regions), _parameters(set_ or [])
    if witness and (witness not in REGIONS or witness in names):
        raise bad_input(f"--witness {witness!r}: give an AWS region that is not one of --regions")
    # Imported here because moto takes a second to load, which no other command should cost.
    from localcloud.main import Options
    from localcloud.main import up as run

    options = Options(
        port=port,
        dns_port=dns_port,
        http_port=http_port,
        regions=names,
        witness=witness,
        parameters=parameters,
        policy=policy,
        state=state,
    )
    raise typer.Exit(run(options))


def _regions(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    strange = [name for name in names if name not in REGIONS]
    if strange or len(set(names)) != len(names) or len(names) < 2:
        raise bad_input(
            f"--regions {text!r}: give two or more different AWS regions, as in ap-southeast-1,ap-southeast-3"
        )
    return names


def _parameters(pairs: list[str]) -> Mapping[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise bad_input(f"--set {wrong[0]!r}: write Key=Value, as in RecordTtl=5")
    return dict(pair.split("=", 1) for pair in pairs)


@app.command()
def fail(region: RegionName, as_json: AsJson = False) -> None:
    """Take a region down: its APIs refuse, its functions and endpoints die, what it holds is kept.

    [dim]$[/] mldr local fail ap-southeast-1

    Exit codes: 0 the region is down, 2 no such region, 3 no local cloud answers.
    """
    _switch("fail", region, as_json)


@app.command()
def heal(region: RegionName, as_json: AsJson = False) -> None:
    """Bring a region back with everything that it held.

    [dim]$[/] mldr local heal ap-southeast-1

    Exit codes: 0 the region is up, 2 no such region, 3 no local cloud answers.
    """
    _switch("heal", region, as_json)


def _switch(door: str, region: str, as_json: bool) -> None:
    # us-east-1 can fail too: it holds the control planes of Route 53, IAM and bucket configuration.
    api = LocalApi()
    known = {*api.get("status")["regions"], "us-east-1"}
    if region not in known:
        raise bad_input(f"the local cloud has no region {region!r}", f"it has {', '.join(sorted(known))}")
    answer = api.post(f"{door}/{region}")
    if as_json:
        print_json(answer)
    else:
        out.print(f"[red]✗[/] {region} is down" if answer["failed"] else f"[green]✓[/] {region} is up")
    if answer["failed"] is not (door == "fail"):
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show which regions stand, and which have failed.

    Exit codes: 0 deployed and no region is down, 1 not so, 3 no local cloud answers.
    """
    found = LocalApi().get("status")
    if as_json:
        print_json(found)
    else:
        rows = table("region", "stack", "state")
        for region, state in found["regions"].items():
            rows.add_row(
                region, state["stack"] or "[dim]deploying[/]", "[red]down[/]" if state["failed"] else "[green]up[/]"
            )
        print_table(rows)
    if not found["ready"] or found["failed"]:
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


@app.command()
def outputs(as_json: AsJson = False) -> None:
    """Show the stacks' Outputs: {region: {OutputKey: value}}.

    [dim]$[/] mldr local outputs --json | jq -r '.["ap-southeast-3"].VaultBucketName'

    Exit codes: 0 shown, 3 no local cloud answers.
    """
    found = LocalApi().get("outputs")
    if as_json:
        print_json(found)
        return
    for region, values in found.items():
        out.print(f"[bold]{region}[/]")
        for key, value in values.items():
            out.print(f"  [dim]{key}[/] {value}")


@app.command()
def calls(
    since: Annotated[
        str, typer.Option(help="A time (2026-01-31T12:00:00Z, or seconds since 1970), or how long ago: 30s, 5m.")
    ] = "0",
    as_json: AsJson = False,
) -> None:
    """Show every API call: when, where, which, by whom, and what became of it.

    [dim]$[/] mldr local calls --since 30s
    [dim]$[/] mldr local calls --json | jq '[.[] | select(.control_plane)] | length'

    Exit codes: 0 shown, 2 --since is no time, 3 no local cloud answers.
    """
    found = LocalApi().get(f"calls?since={_time(since)}")
    if as_json:
        print_json(found)
        return
    rows = table("time", "region", "operation", "caller", "status")
    for call in found:
        rows.add_row(*_row(call))
    print_table(rows)


def _row(call: dict[str, Any]) -> tuple[str, ...]:
    at = dt.datetime.fromtimestamp(call["at"], dt.UTC)
    answer = f"[red]{call['status']} {call['refused']}[/]" if call["refused"] else str(call["status"])
    return f"{at:%H:%M:%S.%f}"[:-3], call["region"], f"{call['service']}:{call['operation']}", call["principal"], answer


def _time(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        if text[-1:] in units and text[:-1]:
            return dt.datetime.now(dt.UTC).timestamp() - float(text[:-1]) * units[text[-1]]
        return float(text)
    except ValueError:
        pass
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise bad_input(
            f"--since {text!r} is no time", "write 30s, 5m, 2026-01-31T12:00:00Z or seconds since 1970"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp()
