"""The command ``plan``: sizes of the questions, and the protocol."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from audit.cli.options import AsJson, Methods, errors_in_one_line, one_method, print_message
from audit.planning import DEFAULT_MARGINS
from pipelines.errors import AuditError

__all__ = ["plan"]


def _question(kind: str, text: str) -> Any:
    return typer.Option(
        help=f"{text} Only questions that are given are asked; all four if none is.",
        show_default=f"{DEFAULT_MARGINS[kind]:g}",
    )


def plan(
    pilot: Annotated[
        list[Path] | None,
        typer.Argument(
            help="OUT of a pilot run, for rates and clustering; a second one of model B on the same studies.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    method: Methods = None,
    half_width: Annotated[
        float | None, _question("precision", "Precision: half-width of the interval of the hit rate.")
    ] = None,
    superiority_margin: Annotated[
        float | None, _question("superiority", "Superiority over the best blind map by more than this.")
    ] = None,
    non_inferiority_margin: Annotated[
        float | None, _question("non-inferiority", "Non-inferiority of model B to model A with this margin.")
    ] = None,
    gap: Annotated[float | None, _question("subgroup gap", "Subgroup gap of this size to be detected.")] = None,
    subgroup: Annotated[
        str, typer.Option(metavar="ATTRIBUTE=VALUE", help="Subgroup of the gap, as the page names it.")
    ] = "sex=female",
    assume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A value to plan with instead of the pilot's or the default: rate=0.5, icc=0.2. Can be repeated; "
            "the output lists all keys.",
        ),
    ] = None,
    patients: Annotated[
        int | None,
        typer.Option(
            help="Patients at hand, for their power and the smallest difference that they detect. Default: those "
            "of the pilot.",
            min=2,
        ),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Two-sided error rate.", min=1e-6, max=0.5)] = 0.05,
    power: Annotated[float, typer.Option(help="Probability to answer a question.", min=0.5, max=0.999)] = 0.8,
    multiplicity: Annotated[
        Literal["holm", "none"], typer.Option(help="Adjustment of the tests for their number.")
    ] = "holm",
    models: Annotated[
        list[str] | None,
        typer.Option(
            help="Model whose checksum the protocol fixes, a folder or a known name. Can be repeated: A, then B.",
        ),
    ] = None,
    protocol_out: Annotated[
        Path | None, typer.Option(help="TOML file to write the protocol to, for `run --protocol`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Plan an audit: patients, studies with boxes and phrases that each question needs, and the protocol that fixes it.

    The sizes follow from a pilot run, or from stated values. `--protocol-out` writes questions, margins, alpha, sizes
    and a stop rule to a file that you edit and give to `run --protocol`.
    """
    from audit.planning.drafting import PlanRequest, draft_plan, write_protocol

    with errors_in_one_line():
        if len(pilot or ()) > 2:
            raise AuditError("plan takes one pilot, or two of two models")
        made = draft_plan(
            PlanRequest(
                pilots=tuple(pilot or ()),
                method=one_method(method) if method else None,
                margins={
                    "precision": half_width,
                    "superiority": superiority_margin,
                    "non-inferiority": non_inferiority_margin,
                    "subgroup gap": gap,
                },
                subgroup=subgroup,
                assume=tuple(assume or ()),
                patients=patients,
                alpha=alpha,
                power=power,
                multiplicity=multiplicity,
                models=tuple(models or ()),
            )
        )
        if protocol_out is not None:
            write_protocol(protocol_out, made)
    for note in made.notes:
        print_message(f"  {note}")
    typer.echo(made.as_json() if as_json else made.as_text())
    if protocol_out is not None:
        print_message(f"Protocol: {protocol_out}; edit it, then `m2ib-audit run --protocol {protocol_out}`")
