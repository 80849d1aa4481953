"""A process that judges versions one after another: `python -m mlflow_project.cli.sweep_child`.

On stdin comes a line for each: a job, and the folder that appears when all is in it; `null` ends
the process. It ends with its parent as well, however that dies, as stdin is a pipe that the parent
holds; the attempt that it was at does not count then. Heavy imports wait until this is seen to.
"""

from __future__ import annotations

import json
import os
import queue
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
from mlflow_project.cli.garbage import collect_seldom
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


def main() -> None:
    """Does jobs until there are no more."""
    collect_seldom()
    parent = _Parent()
    log_to_stderr(verbose=False)
    with failures_as_exits(), signals_as_exceptions(), own_folder(), redirect_stdout(sys.stderr):
        while asked := parent.asks():
            _do(*asked)
            parent.attempt = ""


class _Parent:
    """What the parent asks for; the process ends where it is gone.

    `attempt` is the note on what is being done, empty if nothing is.
    """

    def __init__(self) -> None:
        self.attempt = ""
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def asks(self) -> tuple[Job, Path] | None:
        """The next job and its folder; None if there is none."""
        asked = json.loads(self._lines.get())
        if asked is None:
            return None
        from pipeline.structure import structured  # noqa: PLC0415 (see above)

        job = structured(asked["job"], Job)
        self.attempt = job.attempts
        return job, Path(asked["target"])

    def _listen(self) -> None:
        # Not by Python's own stdin, whose lock would abort this process at its end.
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as lines:
            for line in lines:
                self._lines.put(line.decode())
                if line.strip() == b"null":
                    return
        if self.attempt:
            excuse(Path(self.attempt))
        os._exit(1)


def _do(job: Job, target: Path) -> None:
    """Does one job, and renames what it made to `target`."""
    started = time.monotonic()
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    draft.mkdir()
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
    main()
