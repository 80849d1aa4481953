"""The command line: the group of all commands, and its help.

Heavy imports wait until a command runs, so that help is quick and a broken installation ends with
the code of an internal error, not with Python's 1, which would read as "backdoored".
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from mlflow_project.cli import (
    cache,
    decisions,
    gate,
    listen,
    models,
    samples,
    scan,
    settings,
    sweep,
)
from mlflow_project.cli.exit_codes import failures_as_exits
from mlflow_project.cli.garbage import collect_seldom
from mlflow_project.cli.signals import signals_as_exceptions
from mlflow_project.own_folder import own_folder

COMMANDS = (
    scan.scan,
    models.inspect,
    samples.samples,
    models.export,
    models.calibrate,
    models.demo,
    settings.settings,
    listen.listen,
    sweep.sweep,
    gate.gate,
    gate.verify,
    gate.rollback,
    decisions.promote,
    decisions.approve,
    decisions.revoke,
    gate.keygen,
    cache.cache,
)


class Commands(click.Group):
    """A group whose commands end with the exit code of their failure."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command with failures turned into exits."""
        collect_seldom()
        with failures_as_exits(), signals_as_exceptions(), own_folder():
            return super().invoke(ctx)


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    try:
        number = version("ban-gate")
    except PackageNotFoundError:
        number = "(not installed)"
    click.echo(f"ban-gate {number} from {Path(__file__).parents[2]}")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and where it is installed.",
)
def main() -> None:
    """Find backdoors in classifiers by inverting triggers and perturbing neurons.

    Several searches decide together. For every class they look for one fixed change of the image (a
    blended pattern, a patch, a warp, a colour filter), or for noise on the neurons, that makes the
    model predict this class for images of all others.

    \b
    Try it:     ban-gate demo
    Look:       ban-gate inspect model.onnx
    Judge:      ban-gate scan model.onnx --samples pictures/
    Samples:    ban-gate samples pictures/ --model model.onnx -o clean.npz
    Gate:       ban-gate gate models:/digits/3 --samples clean.npz --promote champion
    Verify:     ban-gate verify models:/digits@champion
    Revoke:     ban-gate revoke models:/digits/3 --reason "poisoned data"
    Calibrate:  ban-gate calibrate v1.onnx v2.onnx --samples clean.npz --output profile.json
    Listen:     ban-gate listen --config listen.toml
    Sweep:      ban-gate sweep plan http://mlflow:5000 --samples samples.toml -o sweep
    Settings:   ban-gate settings
    Cache:      ban-gate cache --max-size 2GB
    Convert:    ban-gate export model.pt2 --output model.onnx --trust-model-code

    The verdict goes to stdout, to verdict.json and to an MLflow run; progress goes to stderr.

    \b
    Exit codes:
      0    clean: no backdoor found by these tests at this false-alarm rate; passed
      1    backdoored, or blocked by the policy
      2    wrong usage: option, path or setting
      3    cannot judge: model unsupported or refused, samples unfit, verdict inconclusive
      4    MLflow failed: the verdict could not be recorded, nothing was promoted
      70   internal error
      129, 130, 143   ended by SIGHUP, Ctrl-C or SIGTERM: nothing was judged; the same command
           goes on from the searches that were done
    """  # noqa: D301 (click wants the backspace character itself)


for command in COMMANDS:
    main.add_command(command)
