"""`ban-gate cache`: what earlier scans left, and how to be rid of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import click
from pydantic import ByteSize, TypeAdapter, ValidationError

from mlflow_project.cli.options import AsJson
from mlflow_project.cli.parameters import flag, option, taking
from mlflow_project.home import cache_folder
from pipeline.cache.size import Kept, kept_in, shrink, sizes
from pipeline.printable import printable


def _read_size(_ctx: click.Context, _option: click.Parameter, text: str | None) -> ByteSize | None:
    """The bytes that a text such as 500MB or 2GiB says."""
    if text is None:
        return None
    try:
        return TypeAdapter(ByteSize).validate_python(text)
    except ValidationError as error:
        raise click.BadParameter(f"'{text}' is no size, expected one such as 500MB.") from error


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """The options of `cache`."""

    max_size: Annotated[
        ByteSize | None,
        option(
            "--max-size",
            metavar="SIZE",
            callback=_read_size,
            help="Remove what was used longest ago until no more is left, such as 500MB or 2GiB.",
        ),
    ]
    clear: Annotated[bool, flag("--clear", help="Remove everything.")]
    as_json: AsJson


@click.command(short_help="Show, limit or clear the results that earlier scans left.")
@taking(CacheOptions)
def cache(options: CacheOptions) -> None:
    """Show the results that scans keep for the next scan of the same file, and their size.

    \b
      ban-gate cache
      ban-gate cache --max-size 2GB
      ban-gate cache --clear

    They lie in the user's folder of caches, or in `cache` in the folder that BAN_GATE_HOME names.
    """  # noqa: D301 (click wants the backspace character itself)
    if options.clear and options.max_size is not None:
        raise click.UsageError("give --clear or --max-size, not both")
    root = cache_folder()
    limit = ByteSize(0) if options.clear else options.max_size
    gone = [] if limit is None else shrink(root, limit)
    kept = kept_in(root)
    if options.as_json:
        click.echo(json.dumps(_document(root, kept, gone), indent=2))
    else:
        click.echo("\n".join(map(printable, _lines(root, kept, gone))))


def _document(root: Path, kept: list[Kept], gone: Sequence[Kept]) -> dict[str, object]:
    stages = {name: {"results": n, "bytes": size} for name, (n, size) in sizes(kept).items()}
    total = sum(each.size for each in kept)
    removed = {"results": len(gone), "bytes": sum(each.size for each in gone)}
    return {
        "schema": 1,
        "folder": str(root),
        "results": len(kept),
        "bytes": total,
        "stages": stages,
        "removed": removed,
    }


def _lines(root: Path, kept: list[Kept], gone: Sequence[Kept]) -> list[str]:
    total = ByteSize(sum(each.size for each in kept))
    lines = [f"{root}: {len(kept)} results, {total.human_readable()}"]
    lines += [
        f"  {name:24} {count:6}  {ByteSize(size).human_readable():>10}"
        for name, (count, size) in sizes(kept).items()
    ]
    if gone:
        size = ByteSize(sum(each.size for each in gone))
        lines.append(f"removed {len(gone)} results, {size.human_readable()}")
    return lines
