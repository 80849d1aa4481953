"""One call of `sweep run`: what is left of the plan, and where it is judged."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow_project import connection
from mlflow_project.sweep.downloads import Downloads
from mlflow_project.sweep.driver import Driver, Options
from mlflow_project.sweep.inputs import Inputs
from mlflow_project.sweep.job import GateOptions
from mlflow_project.sweep.local import Executor, Local, default_workers
from mlflow_project.sweep.planning import require_policy
from mlflow_project.sweep.requests import limited
from mlflow_project.sweep.settled import Maker
from mlflow_project.uris import is_uri
from pipeline.gate.policy import read_policy
from pipeline.sweep.plan import Line, Plan, in_shard, read_plan
from pipeline.sweep.results import (
    ATTEMPTS,
    SCANS,
    Result,
    exit_code,
    made_with,
    results_of,
)
from pipeline.versions import versions_of
from stages.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunCall:
    """One call of `sweep run`; sizes are in bytes, times in seconds.

    `shard` is a part, from 0, and how many there are. `ray` is the address of a cluster, `auto` for
    any, None for this machine.
    """

    folder: Path
    shard: tuple[int, int] = (0, 1)
    workers: int | None = None
    ray: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    write: bool = False
    promote: str | None = None
    signing_key: str | None = None
    tracking_uri: str | None = None
    experiment: str | None = None
    requests: float = 20.0
    patience: float = 600.0
    seconds: float = 14_400.0
    downloads: int = 20 * 10**9
    again: bool = False


def run_plan(call: RunCall) -> int:
    """Judges what is left of the plan and returns the exit code of the shard.

    Raises:
        ConfigError: there is no plan, it is another ban-gate's, or what it names has changed.
        RegistryError: the registry was away for too long; what was judged is kept.
    """
    plan = read_plan(call.folder)
    _require_same_scanner(plan)
    require_policy(plan.head)
    mine = replace(plan, lines=tuple(each for each in plan.lines if in_shard(each, *call.shard)))
    left = _left(mine, call)
    logger.info("%d of %d versions are left to judge", len(left), len(mine.lines))
    if left:
        _work(call, mine, left)
    results = results_of(mine, call.folder)
    return exit_code(results.values(), len(mine.lines) - len(results))


def _require_same_scanner(plan: Plan) -> None:
    own = versions_of(("ban-gate",)).get("ban-gate", "")
    if plan.head.scanner != own:
        raise ConfigError(
            f"the plan was made by ban-gate {plan.head.scanner}, and this is {own}; plan again"
        )


def _left(plan: Plan, call: RunCall) -> Sequence[Line]:
    """The versions without a result that stands."""
    found = results_of(plan, call.folder)
    if call.again:
        for each in found.values():
            if each.state == "given up":
                (call.folder / ATTEMPTS / f"{each.key}.json").unlink(missing_ok=True)
    return [each for each in plan.lines if not _stands(found.get(each.id), call)]


def _stands(result: Result | None, call: RunCall) -> bool:
    if result is None or result.state == "failed":
        return False
    if result.state == "given up":
        return not call.again
    if call.write and result.state == "judged" and is_uri(result.source):
        return result.written
    return True


def _work(call: RunCall, plan: Plan, left: Sequence[Line]) -> None:
    head = plan.head
    asks = any(is_uri(each.source) for each in left) or any(is_uri(e.path) for e in head.samples)
    target = connection.Target(
        uri=call.tracking_uri or head.tracking_uri, experiment=call.experiment
    )
    gate = _gate(call, target, head.policy) if call.write else None
    if asks or call.write:
        connection.connect(target)
    policy = read_policy(Path(head.policy) if head.policy else None)
    maker = Maker(
        made_with={each.id: made_with(plan, each) for each in plan.lines},
        policy=policy if head.policy else None,
        written=call.write,
    )
    options = Options(folder=call.folder, gate=gate, patience=call.patience, seconds=call.seconds)
    with limited(call.requests), tempfile.TemporaryDirectory(prefix="ban-gate-") as name:
        downloads, samples = Path(name, "downloads"), Path(name, "samples")
        downloads.mkdir()
        samples.mkdir()
        inputs = Inputs(samples, Downloads(downloads, call.downloads), policy)
        Driver(plan, options, inputs, _executor(call, head.settings.device), maker).run(left)


def _executor(call: RunCall, device: str | None) -> Executor:
    if call.ray is not None:
        from mlflow_project.sweep.on_ray import OnRay, Resources  # noqa: PLC0415 (an extra)

        resources = Resources(cpus=call.cpus, gpus=call.gpus, memory=call.memory)
        return OnRay(None if call.ray == "auto" else call.ray, resources)
    gpus = _gpus(device)
    workers = call.workers or gpus or default_workers()
    logger.info("%d scans at once on this machine", workers)
    return Local(workers, lambda key: call.folder.absolute() / SCANS / key, gpus)


def _gpus(device: str | None) -> int:
    if device == "cpu":
        return 0
    import torch  # noqa: PLC0415 (heavy)

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _found_anywhere(key: str) -> str:
    """The place of a key, which a process in another folder finds as well."""
    return str(Path(key).absolute()) if key and Path(key).is_file() else key


def _gate(call: RunCall, target: connection.Target, policy: str | None) -> GateOptions:
    return GateOptions(
        policy=policy or "",
        signing_key=_found_anywhere(call.signing_key or ""),
        tracking_uri=target.uri or "",
        experiment=call.experiment or "",
        promote=call.promote or "",
        requests=call.requests,
    )
