"""The options of the commands: what each means, its default, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from stages.errors import CannotJudge
from stages.export.detect import find_source


class GivenOption(click.Option):
    """An option for which the empty string means "not given", as MLproject passes it."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, Any]:
        """Drops empty strings before the default is looked up."""
        given = opts.get(self.name or "")
        if self.multiple and given:
            given = [value for value in given if value]
        if not given:
            opts = {key: value for key, value in opts.items() if key != self.name}
        else:
            opts = {**opts, self.name or "": given}
        return super().consume_value(ctx, opts)


def options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Puts several options on a command, in the order given."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _require_model(_ctx: click.Context, _argument: click.Parameter, model: str) -> str:
    with suppress(CannotJudge):  # a command tells it with what else is known
        find_source(model)
    return model


def _require_model_or_uri(ctx: click.Context, argument: click.Parameter, model: str) -> str:
    return model if STORED.match(model) else _require_model(ctx, argument, model)


class PathOrUri(click.Path):
    """An existing path, or the URI of something that MLflow can fetch, as it was given."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Checks paths alone; a URI is looked up when the command runs."""
        return value if STORED.match(str(value)) else super().convert(value, param, ctx)


def read_shape(
    _ctx: click.Context, _option: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """The shape in a text such as 3,32,32, for an option's callback."""
    if text is None:
        return None
    sizes = text.split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise click.BadParameter(f"'{text}' is no shape, expected sizes such as 3,32,32.")
    return tuple(map(int, sizes))


STORED = re.compile(r"[a-z][a-z0-9+.-]+:/")
"""How a URI begins, unlike a path: with a scheme of two letters or more."""
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

samples_option = click.option(
    "--samples",
    cls=GivenOption,
    required=True,
    type=PathOrUri(exists=True),
    metavar="FILE.npz",
    help="Clean samples: images float32 (N, *input shape), preprocessed; labels int64 (N,). A path"
    " or the URI of an artifact.",
)
reference_option = click.option(
    "--reference",
    "references",
    cls=GivenOption,
    multiple=True,
    metavar="MODEL",
    help="A model of the same task that is known to be clean, of any architecture, such as the"
    " version before; or a profile that `ban-gate calibrate` wrote. May be repeated.",
)
output_option = click.option(
    "--output",
    cls=GivenOption,
    type=FOLDER,
    metavar="DIR",
    help="Folder for report.html, verdict.json, figures and files for CI; created if missing.",
)
limit_options = (
    click.option(
        "--config",
        cls=GivenOption,
        type=EXISTING_FILE,
        metavar="FILE.toml",
        help="Settings, one section per stage.",
    ),
    click.option(
        "--set",
        "overrides",
        cls=GivenOption,
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting, such as noise.steps=10, or several separated by `;`; wins over --config."
        " May be repeated.",
    ),
)
settings_options = (
    click.option(
        "--seed",
        cls=GivenOption,
        type=click.IntRange(min=0),
        help="Seed of all randomness.  [default: 0]",
    ),
    click.option(
        "--device",
        cls=GivenOption,
        type=click.Choice(["auto", "cpu", "cuda"]),
        help="Where to compute; auto takes a GPU if there is one.  [default: auto]",
    ),
    *limit_options,
)
tracking_options = (
    click.option(
        "--tracking-uri",
        cls=GivenOption,
        metavar="URI",
        help="MLflow server or store.  [default: $MLFLOW_TRACKING_URI, else ./mlflow.db]",
    ),
    click.option(
        "--experiment",
        cls=GivenOption,
        metavar="NAME",
        help="MLflow experiment of the run.  [default: MLflow's own]",
    ),
)
fresh_option = click.option(
    "--fresh", is_flag=True, help="Compute everything; neither use nor keep earlier results."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a line.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Log every detail on stderr.")


model_argument = click.argument("model", callback=_require_model)
model_or_uri_argument = click.argument("model", callback=_require_model_or_uri)
native_options = (
    click.option(
        "--trust-model-code",
        is_flag=True,
        help="Let a model that is not ONNX run the code it brings; needed to load one.",
    ),
    click.option(
        "--python",
        cls=GivenOption,
        type=click.Path(exists=True, dir_okay=False),
        metavar="PATH",
        help="Interpreter that has the model's framework.  [default: the one ban-gate runs in]",
    ),
)
listen_options = (
    click.option(
        "--config",
        cls=GivenOption,
        type=EXISTING_FILE,
        metavar="FILE.toml",
        help="Whom to believe, and how each registered model is gated: see docs/listen.md.",
    ),
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at."),
    click.option(
        "--port",
        default=8765,
        show_default=True,
        type=click.IntRange(0, 65535),
        help="Port to listen at; 0 takes a free one and says which.",
    ),
    click.option(
        "--database",
        cls=GivenOption,
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Where the queue is kept.  [default: listen.db in $BAN_GATE_HOME, else in"
        " ~/.cache/ban-gate]",
    ),
    click.option("--status", is_flag=True, help="Print the queue and exit; needs no --config."),
)
