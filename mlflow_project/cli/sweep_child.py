"""The process that judges one version: `python -m mlflow_project.cli.sweep_child JOB FOLDER NOTE`.

JOB is a file, FOLDER appears when all is in it. The process ends with its parent, however that
dies: its stdin is a pipe that the parent holds. The attempt in the file NOTE does not count then.
Heavy imports wait until this is seen to.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlflow_project.cli.exit_codes import failures_as_exits
from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.cli.signals import signals_as_exceptions
from mlflow_project.own_folder import own_folder
from mlflow_project.own_store import own_store
from mlflow_project.sweep.job import OUTCOME_FILE, Job
from pipeline.sweep.attempts import excuse
from stages.errors import CannotJudge, ConfigError

if TYPE_CHECKING:
    from pipeline.config import ScanConfig
    from pipeline.evidence import ScanResult
    from pipeline.samples.preparation import Preparation


def main(job_file: Path, target: Path) -> None:
    """Does one job, and renames what it made to `target`."""
    from pipeline.structure import structured  # noqa: PLC0415 (see above)

    job = structured(json.loads(job_file.read_text(encoding="utf-8")), Job)
    log_to_stderr(verbose=False)
    started = time.monotonic()
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    draft.mkdir()
    with failures_as_exits(), signals_as_exceptions(), own_folder(), redirect_stdout(sys.stderr):
        try:
            outcome = _gated(job, draft) if job.gate else _scanned(job, draft)
        except (CannotJudge, ConfigError) as error:
            outcome = {"refused": str(error)}
        facts = {
            "schema": 1,
            "seconds": round(time.monotonic() - started, 3),
            "worker": f"{socket.gethostname()}/{os.getpid()}",
            **outcome,
        }
        (draft / OUTCOME_FILE).write_text(json.dumps(facts), encoding="utf-8")
        if not target.exists():
            draft.rename(target)


def end_with_parent(note: str) -> None:
    """Waits until the parent is gone; then so is this process, and its attempt does not count.

    It reads past Python's own stdin, whose lock would abort this process at its own end.
    """
    os.read(sys.stdin.fileno(), 1)
    if note:
        excuse(Path(note))
    os._exit(1)


def _config(job: Job) -> ScanConfig:
    from pipeline.config import load_config  # noqa: PLC0415 (heavy, and the server starts)

    settings = job.settings
    with TemporaryDirectory(prefix="ban-gate-") as name:
        path = Path(name, "settings.toml")
        path.write_text(settings.config, encoding="utf-8")
        return load_config(
            path,
            settings.overrides,
            seed=settings.seed,
            device=settings.device,
            output=settings.output_name,
        )


def _preparation(job: Job, seed: int) -> Preparation:
    from pipeline.samples.preparation import Preparation  # noqa: PLC0415 (see above)

    names = Path(job.class_names) if job.class_names else None
    return Preparation(preprocess=job.preprocess or None, class_names=names, seed=seed)


def _scanned(job: Job, folder: Path) -> dict[str, object]:
    """Scans the files of a model; nothing is recorded anywhere else."""
    from pipeline.intake import sandbox  # noqa: PLC0415 (see above)

    sandbox.warm_up()
    from pipeline.atomic_files import write_text  # noqa: PLC0415 (heavy, and the server starts)
    from pipeline.report.html_page import REPORT_FILE, render  # noqa: PLC0415 (same)
    from pipeline.report.verdict_json import write_verdict  # noqa: PLC0415 (same)
    from pipeline.request import ScanRequest  # noqa: PLC0415 (same)
    from pipeline.scan import scan  # noqa: PLC0415 (same)

    _use_threads(job.threads)
    config = _config(job)
    request = ScanRequest(
        model=job.model,
        samples=Path(job.samples),
        uri=job.uri,
        config=config,
        preparation=_preparation(job, config.seed),
        trusted=job.trusted,
        python=job.python or sys.executable,
        references=job.references,
        registered=job.registered,
        accepted_files=job.accepted_files,
    )
    with TemporaryDirectory(prefix="ban-gate-") as place:
        result = scan(request, own_store(fresh=False), Path(place))
        write_verdict(result, folder)
        write_text(folder / REPORT_FILE, render(result))
    return {"facts": _facts(result) if job.facts else None}


def _facts(result: ScanResult) -> dict[str, object]:
    """What a policy decides on, but for the version."""
    from mlflow_project.gate.statement import facts_of, provenance_of  # noqa: PLC0415 (MLflow)
    from mlflow_project.registry.versions import ModelVersion  # noqa: PLC0415 (same)

    nobody = ModelVersion(name="", version=0, files_uri="")
    return asdict(facts_of(nobody, result, provenance_of(result, ())))


def _gated(job: Job, folder: Path) -> dict[str, object]:
    """Gates a version, as `ban-gate gate` does."""
    from pipeline.intake import sandbox  # noqa: PLC0415 (see above)

    sandbox.warm_up()
    from mlflow_project.commands import ScanCall  # noqa: PLC0415 (heavy, and the server starts)
    from mlflow_project.connection import Target  # noqa: PLC0415 (same)
    from mlflow_project.gate import default_key  # noqa: PLC0415 (same)
    from mlflow_project.gate.gate import GateCall, gate  # noqa: PLC0415 (same)
    from mlflow_project.sweep.requests import limit_requests  # noqa: PLC0415 (same)
    from pipeline.gate.policy import read_policy  # noqa: PLC0415 (same)

    options, config = job.gate, _config(job)
    assert options is not None, "the caller looked"  # noqa: S101 (our own logic)
    _use_threads(job.threads)
    limit_requests(options.requests)
    scan = ScanCall(
        model=job.model,
        uri=job.uri,
        samples=job.samples,
        config=config,
        preparation=_preparation(job, config.seed),
        trusted=job.trusted,
        python=job.python or sys.executable,
        references=job.references,
        output=folder,
        target=Target(uri=options.tracking_uri or None, experiment=options.experiment or None),
    )
    outcome = gate(
        GateCall(
            scan=scan,
            policy=read_policy(Path(options.policy) if options.policy else None),
            key=default_key.signing_key(options.signing_key or None),
            promote=options.promote or None,
        )
    )
    return {
        "gate": {
            "action": outcome.decision.action,
            "reasons": [*outcome.objections, *outcome.decision.reasons],
            "run_id": outcome.claim.run_id,
        }
    }


def _use_threads(number: int) -> None:
    import torch  # noqa: PLC0415 (heavy)

    torch.set_num_threads(number)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, args=(sys.argv[3],), daemon=True).start()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
