"""`ban-gate scan`: judge a model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import click

from mlflow_project.cli.exit_codes import EXIT_CODES
from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.cli.options import AsJson, Fresh, JudgingOptions, Models, Samples, Verbose
from mlflow_project.cli.parameters import flag, taking
from mlflow_project.cli.several import scan_several
from pipeline.intake import sandbox

if TYPE_CHECKING:
    from pipeline.evidence import ScanResult


@dataclass(frozen=True, kw_only=True)
class ScanOptions:
    """The options of `scan`."""

    models: Models
    samples: Samples
    judging: JudgingOptions
    exit_zero: Annotated[bool, flag("--exit-zero", help="Exit 0 whatever the verdict is.")]
    as_json: AsJson
    fresh: Fresh
    verbose: Verbose


@click.command(short_help="Judge a model and record the verdict.")
@taking(ScanOptions)
def scan(options: ScanOptions) -> None:
    """Judge the classifier MODEL, or several, and record each verdict in MLflow.

    MODEL is an ONNX file, or a native model that is exported first: a file of PyTorch (.pt, .pth,
    .pt2), Keras (.keras, .h5) or scikit-learn (.pkl, .joblib, .skops), a folder of MLflow,
    TensorFlow (SavedModel), PaddlePaddle or transformers, or FILE.py:FUNCTION, a function that
    builds the model; or what MLflow keeps: models:/NAME/3, models:/NAME@ALIAS, models:/m-ID,
    runs:/RUN/PATH. Samples and references may be there, too. Loading a native model runs its
    author's code, so it needs --trust-model-code.

    \b
    A few hundred clean samples, balanced over the classes, are enough:
      ban-gate scan model.onnx --samples clean.npz --output report
    From a folder with a subfolder of pictures for each class, preprocessed as for ImageNet:
      ban-gate scan model.onnx --samples pictures/ --preprocess imagenet
    A first look, and a scan that may take ten minutes and goes on in the next call:
      ban-gate scan model.onnx --samples clean.npz --quick
      ban-gate scan model.onnx --samples clean.npz --budget 10m
    Several models of one task, or a folder of ONNX files, each with a folder in DIR:
      ban-gate scan models/*.onnx --samples clean.npz --output reports
    A model that is not ONNX yet:
      ban-gate scan model.pt2 --samples clean.npz --trust-model-code
    Compared with earlier versions known to be clean, which makes the verdict more reliable:
      ban-gate scan model.onnx --samples clean.npz --reference v2.onnx --reference v1.onnx
    In a pipeline, with a server and a fixed setting:
      ban-gate scan model.onnx --samples clean.npz --tracking-uri http://host:5000 \\
        --experiment gate --set judge.false_alarm_rate=0.01

    DIR also gets junit.xml, verdict.sarif, summary.md and bom.cdx.json for CI systems; in a job of
    GitHub Actions the summary, the step's outputs and an annotation are written as well.

    stdout gets one line, or verdict.json with --json; of several models a table at the end, or a
    line of JSON for each. Exit code 0: clean, 1: backdoored, 3: cannot judge; 2, 4 and 70 are
    failures, see `ban-gate --help`. Of several models the worst counts: 1, 3, 4, 70, 2, 0.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(options.verbose)
    config = options.judging.settings.scan_config()
    sandbox.warm_up()
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see `main`)

    first, *others = options.models
    call = options.judging.call(first, options.samples, config, fresh=options.fresh)
    if others:
        sys.exit(
            scan_several(call, options.models, as_json=options.as_json, exit_zero=options.exit_zero)
        )
    result = commands.scan(call, _print_document if options.as_json else _print_line)
    sys.exit(0 if options.exit_zero else EXIT_CODES[result.verdict.label])


def _print_line(result: ScanResult) -> None:
    from pipeline.report.verdict_json import summary  # noqa: PLC0415 (heavy: see `main`)

    click.echo(summary(result))


def _print_document(result: ScanResult) -> None:
    from pipeline.report.verdict_json import verdict_document, verdict_text  # noqa: PLC0415 (same)

    click.echo(verdict_text(verdict_document(result)), nl=False)
