"""Whatever is handed in by mistake or in malice ends in one sentence and the code that is its."""

from __future__ import annotations

import http.server
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from onnx import ModelProto, helper, numpy_helper
from onnx.parser import parse_model

from mlflow_project import cli, commands

pytestmark = pytest.mark.usefixtures("mlflow_settings")

IMAGE = "float[N,1,16,16]"
PIXELS = 16 * 16
Shapes = dict[str, tuple[int, ...]]

EVIDENCE = [
    "bom.cdx.json", "junit.xml", "report.html", "summary.md", "verdict.json", "verdict.sarif",
]  # fmt: skip
"""What a scan without a verdict leaves in its output folder."""


def _model(graph: str, weights: Shapes | None = None) -> bytes:
    """The ONNX bytes of a graph in onnx's own notation, with random weights of these shapes."""
    random = np.random.default_rng(0)
    model: ModelProto = parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {graph}')
    for name, shape in (weights or {}).items():
        values = random.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return bytes(model.SerializeToString())


def _with_name(name: str) -> bytes:
    """A classifier of wrongly shaped images whose input has that name."""
    model = ModelProto.FromString(MODELS["linear"])
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info(name, 1, ["N", 3, 8, 8]))
    model.graph.node[0].input[0] = name
    return bytes(model.SerializeToString())


HOSTILE = "x\n\x1b[2J\rclean         p 0.9  score 0.1  fine"
WEIGHT: Shapes = {"w": (PIXELS, 10)}
HEADS: Shapes = {"u": (PIXELS, 8), "v": (8, 10), "w": (8, 10)}
MODELS = {
    "empty": b"",
    "text": b"these are not the bytes you are looking for\n",
    "png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "pickle": pickle.dumps({"weights": [1.0, 2.0]}),
    "two_inputs": _model(
        f"({IMAGE} a, {IMAGE} b) => (float[N,10] y) {{ s=Add(a,b) f=Flatten(s) y=MatMul(f,w) }}",
        WEIGHT,
    ),
    "two_outputs": _model(
        f"({IMAGE} a) => (float[N,10] y, float[N,10] z)"
        "{ f=Flatten(a) y=MatMul(f,w) z=Identity(y) }",
        WEIGHT,
    ),
    "rank_4": _model(f"({IMAGE} a) => ({IMAGE} y) {{ y=Relu(a) }}"),
    "integers": _model(f"({IMAGE} a) => (int64[N,1] y) {{ f=Flatten(a) y=ArgMax<axis=1>(f) }}"),
    "no_output": _model(f"({IMAGE} a) => () {{ y=Relu(a) }}"),
    "linear": _model(
        f"({IMAGE} a) => (float[N,10] y) {{ f=Flatten(a) y=MatMul(f,w) }}", WEIGHT
    ),
    "two_heads": _model(
        f"({IMAGE} a) => (float[N,10] y)"
        "{ f=Flatten(a) h=MatMul(f,u) r=Relu(h) p=MatMul(r,v) q=MatMul(r,w) y=Add(p,q) }",
        HEADS,
    ),
    "foreign": _model(f"({IMAGE} a) => (float[N,10] y) {{ f=Flatten(a) y=MatMul(f,w) }}", WEIGHT)
    .replace(b"MatMul", b"MatMuh"),
    "cut": (commands.DEMO / "clean.onnx").read_bytes()[:70_000],
}  # fmt: skip
MODELS["forged"] = _with_name(HOSTILE)


def _arrays() -> dict[str, dict[str, object]]:
    """What may stand in a samples file, nearly all of it wrong."""
    with np.load(commands.DEMO / "samples.npz") as stored:
        everything, images, labels = (
            stored["labels"],
            stored["images"][:200],
            stored["labels"][:200],
        )
        half = {"images": stored["images"][everything < 5], "labels": everything[everything < 5]}
    broken = images.copy()
    broken[3, 0, :2, 0] = np.nan, np.inf
    fractions = labels.astype(np.float32)
    return {
        "good": {"images": images, "labels": labels},
        "no_channel": {"images": images[:, 0], "labels": labels},
        "channels_last": {"images": images.transpose(0, 2, 3, 1), "labels": labels},
        "three_channels": {"images": images.repeat(3, axis=1), "labels": labels},
        "small": {"images": images[:, :, :8, :8], "labels": labels},
        "negative": {"images": images, "labels": labels - 1},
        "beyond": {"images": images, "labels": labels + 1},
        "fractions": {"images": images, "labels": fractions},
        "float64": {"images": images.astype(np.float64), "labels": labels},
        "uint8": {"images": (images * 255).astype(np.uint8), "labels": labels},
        "not_finite": {"images": broken, "labels": labels},
        "one_class": {"images": images, "labels": np.full_like(labels, 3)},
        "lengths": {"images": images, "labels": labels[:-1]},
        "nothing": {"images": images[:0], "labels": labels[:0]},
        "no_labels": {"images": images},
        "other_keys": {"x": images, "y": labels},
        "objects": {"images": images.astype(object), "labels": labels},
        "unscaled": {"images": (1 - images) * -9, "labels": labels},
        "few": {"images": images[:20], "labels": labels[:20]},
        "few_classes": half,
    }


def _damaged(good: bytes) -> dict[str, bytes]:
    middle = len(good) // 2
    return {
        "note": b"no numbers here",
        "void": b"",
        "truncated": good[:middle],
        "corrupt": good[:middle] + bytes([good[middle] ^ 0xFF]) + good[middle + 1 :],
        "headless": b"PK\x03\x04" + good[200:],
    }


def _bomb(path: Path) -> None:
    """Samples of a few bytes that claim to be petabytes."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 1, 16, 16)}
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("images.npy", "labels.npy"):
            with archive.open(name, "w") as member:
                np.lib.format.write_array_header_1_0(member, header)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every model and every samples file of this module."""
    folder = tmp_path_factory.mktemp("world")
    for name, content in MODELS.items():
        (folder / f"{name}.onnx").write_bytes(content)
    (folder / "good.onnx").write_bytes((commands.DEMO / "clean.onnx").read_bytes())
    for name, arrays in _arrays().items():
        np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type] # wrong on purpose
    for name, content in _damaged((folder / "good.npz").read_bytes()).items():
        (folder / f"{name}.npz").write_bytes(content)
    _bomb(folder / "bomb.npz")
    os.mkfifo(folder / "pipe.npz")
    (folder / "folder").mkdir()
    (folder / "malformed.toml").write_text("[noise\nsteps = ")
    (folder / "nested.toml").write_text("seed = " + "[" * 5000)
    (folder / "unknown.toml").write_text("[nose]\nsteps = 1\n")
    return folder


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A call of `ban-gate scan` with something wrong, and the sentence that says what."""

    sentence: str
    model: str = "good.onnx"
    samples: str = "good.npz"
    options: tuple[str, ...] = ()

    def arguments(self, world: Path) -> list[str]:
        """The command line, with `{world}` in its options filled in."""
        options = [each.format(world=world) for each in self.options]
        return ["scan", str(world / self.model), "--samples", str(world / self.samples), *options]


USAGE = {
    "no model": Scan(model="missing.onnx", sentence="does not exist"),
    "a folder for a model": Scan(model="folder", sentence="holds no model that is known"),
    "no samples": Scan(samples="missing.npz", sentence="does not exist"),
    "output is a file": Scan(options=("--output", "{world}/note.npz"), sentence="is a file"),
    "output below a file": Scan(
        options=("--output", "{world}/note.npz/deep/out"),
        sentence="cannot be written ([Errno 20] Not a directory",
    ),
    "output below /proc": Scan(
        options=("--output", "/proc/ban-gate"), sentence="choose a writable folder"
    ),
    "unknown key": Scan(
        options=("--set", "noise.stebs=2"),
        sentence="unknown setting `stebs` in `noise`; known are `samples`",
    ),
    "unknown section": Scan(
        options=("--set", "nose.steps=2"), sentence="unknown setting `nose`; known are `seed`"
    ),
    "wrong type": Scan(
        options=("--set", "noise.steps=many"),
        sentence="`noise.steps` is 'many', expected a whole number",
    ),
    "one wrong of several": Scan(
        options=("--set", "noise.steps=2; mask.epochs=few"),
        sentence="`mask.epochs` is 'few', expected a whole number",
    ),
    "no value": Scan(options=("--set", "noise.steps"), sentence="expected KEY=VALUE"),
    "deep value": Scan(options=("--set", "seed=" + "[" * 5000), sentence="expected a whole number"),
    "malformed TOML": Scan(
        options=("--config", "{world}/malformed.toml"), sentence="expected a TOML file such as"
    ),
    "deep TOML": Scan(options=("--config", "{world}/nested.toml"), sentence="cannot be read"),
    "TOML of another tool": Scan(
        options=("--config", "{world}/unknown.toml"), sentence="unknown setting `nose`"
    ),
    "config is a folder": Scan(options=("--config", "{world}/folder"), sentence="is a directory"),
    "unknown device": Scan(options=("--device", "tpu"), sentence="'auto', 'cpu', 'cuda'"),
    "device in a setting": Scan(
        options=("--set", "device=tpu"), sentence="expected one of 'auto', 'cpu', 'cuda'"
    ),
    "negative seed": Scan(options=("--seed", "-1"), sentence="-1 is not in the range x>=0"),
    "negative seed in a setting": Scan(
        options=("--set", "seed=-1"), sentence="`seed` is -1, expected 0 or more"
    ),
}
if not torch.cuda.is_available():
    USAGE["no CUDA"] = Scan(options=("--device", "cuda"), sentence="use `--device auto` or")

CANNOT_JUDGE = {
    "empty model": Scan(model="empty.onnx", sentence="found 0 bytes, expected 1 to"),
    "text": Scan(model="text.onnx", sentence="`text.onnx` is not an ONNX file"),
    "picture": Scan(model="png.onnx", sentence="`png.onnx` is not an ONNX file"),
    "pickle": Scan(model="pickle.onnx", sentence="`pickle.onnx` is not an ONNX file"),
    "cut model": Scan(model="cut.onnx", sentence="`cut.onnx` is not an ONNX file"),
    "two inputs": Scan(model="two_inputs.onnx", sentence="one model input, found `a`, `b`"),
    "two outputs": Scan(model="two_outputs.onnx", sentence="`y`, `z`; export only the logits"),
    "rank 4": Scan(model="rank_4.onnx", sentence="found `y` float32 (?, 1, 16, 16)"),
    "integers": Scan(model="integers.onnx", sentence="found `y` int64 (?, 1)"),
    "no output": Scan(model="no_output.onnx", sentence="found none"),
    "no neurons": Scan(model="linear.onnx", sentence="no neurons to perturb"),
    "two heads": Scan(model="two_heads.onnx", sentence="classifier"),
    "unknown operator": Scan(model="foreign.onnx", sentence="MatMuh"),
    "forged lines": Scan(model="forged.onnx", sentence=r"x\n\x1b[2J\rclean "),
    "images without channels": Scan(samples="no_channel.npz", sentence="(200, 16, 16), the"),
    "channels last": Scan(samples="channels_last.npz", sentence="put channels first"),
    "colour for grey": Scan(samples="three_channels.npz", sentence="expects (N, 1, 16, 16)"),
    "small images": Scan(samples="small.npz", sentence="resize or crop the images"),
    "negative labels": Scan(samples="negative.npz", sentence="range from -1 to 8"),
    "labels beyond": Scan(samples="beyond.npz", sentence="from 1 to 10, the model's classes are"),
    "labels in fractions": Scan(samples="fractions.npz", sentence="is float32, expected int64"),
    "float64 images": Scan(samples="float64.npz", sentence="is float64, expected float32"),
    "uint8 images": Scan(samples="uint8.npz", sentence="is uint8, expected float32"),
    "NaN and infinity": Scan(samples="not_finite.npz", sentence="holds 2 values that are NaN"),
    "one class": Scan(samples="one_class.npz", sentence="every label is 3"),
    "lengths differ": Scan(samples="lengths.npz", sentence="shape (199,), expected (200,)"),
    "no sample": Scan(samples="nothing.npz", sentence="`images` is empty"),
    "no labels": Scan(samples="no_labels.npz", sentence="lack `labels`, found `images`"),
    "other keys": Scan(samples="other_keys.npz", sentence="found `x`, `y`; save them with"),
    "Python objects": Scan(samples="objects.npz", sentence="holds Python objects"),
    "no archive": Scan(samples="note.npz", sentence="are not an `.npz` file; save them with"),
    "empty samples file": Scan(samples="void.npz", sentence="are not an `.npz` file"),
    "truncated samples": Scan(samples="truncated.npz", sentence="are not an `.npz` file"),
    "corrupt samples": Scan(samples="corrupt.npz", sentence="cannot be read (Bad CRC-32"),
    "headless samples": Scan(samples="headless.npz", sentence="the file is damaged or holds"),
    "petabytes": Scan(samples="bomb.npz", sentence="cannot be read (Unable to allocate"),
    "a folder for samples": Scan(samples="folder", sentence="is a folder, expected"),
    "a pipe for samples": Scan(samples="pipe.npz", sentence="are not an `.npz` file"),
    "wrong preprocessing": Scan(samples="unscaled.npz", sentence="likely cause is preprocessing"),
    "too few samples": Scan(samples="few.npz", sentence="only 20 clean samples, at least 100"),
    "too few classes": Scan(samples="few_classes.npz", sentence="cover 5 of the model's 10"),
}


@pytest.fixture(scope="module")
def experiment(sqlite_store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The options that record into an experiment of this module's own."""
    client = mlflow.MlflowClient(tracking_uri=sqlite_store)
    client.create_experiment("bad input", str(tmp_path_factory.mktemp("artifacts")))
    return ("--tracking-uri", sqlite_store, "--experiment", "bad input")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Runs `ban-gate` in this process, its store of results in the test's folder."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli.main, [str(each) for each in arguments])

    return invoke


def _sentences(stderr: str) -> list[str]:
    """The lines that say what is wrong, without the steps of the scan and click's usage."""
    starts = ("Error: ", "ban-gate: ", "INFO    cannot judge: ")
    return [line for line in stderr.splitlines() if line.startswith(starts)]


@pytest.mark.parametrize("scan", [pytest.param(scan, id=name) for name, scan in USAGE.items()])
def test_wrong_usage_is_told_before_anything_is_made(
    run: Callable[..., Result], world: Path, tmp_path: Path, scan: Scan
) -> None:
    """Exit 2, one sentence on stderr, nothing on stdout, and neither database nor output."""
    place = () if "--output" in scan.options else ("--output", tmp_path / "out")

    result = run(*scan.arguments(world), "--tracking-uri", "sqlite:///mlflow.db", *place)

    (sentence,) = _sentences(result.stderr)
    assert result.exit_code == 2
    assert scan.sentence in sentence
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert list((tmp_path / "work").iterdir()) == []
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "scan", [pytest.param(scan, id=name) for name, scan in CANNOT_JUDGE.items()]
)
def test_what_cannot_be_judged_is_inconclusive_everywhere(
    run: Callable[..., Result],
    world: Path,
    tmp_path: Path,
    experiment: tuple[str, ...],
    schema_1_keys: set[str],
    scan: Scan,
) -> None:
    """Exit 3; stdout, stderr, verdict.json and the run's tags give the same reason, once each."""
    output = tmp_path / "out"

    result = run(*scan.arguments(world), *experiment, "--output", output)

    (sentence,) = _sentences(result.stderr)
    assert result.exit_code == 3
    assert scan.sentence in sentence
    assert result.stdout.startswith("inconclusive  ")
    assert scan.sentence in result.stdout
    assert result.stdout.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert not {"\x1b", "\r"} & {*result.stdout, *result.stderr}
    assert sorted(path.name for path in output.iterdir()) == EVIDENCE
    document = json.loads((output / "verdict.json").read_text(), parse_constant=pytest.fail)
    assert set(document) == schema_1_keys
    assert (document["schema"], document["verdict"]) == (1, "inconclusive")
    assert document["reasons"]
    assert document["score"] is document["p_value"] is document["suspected_class"] is None
    tags = mlflow.last_active_run().data.tags  # type: ignore[union-attr] # there is one
    assert (tags["ban.verdict"], tags["ban.gate"]) == ("inconclusive", "block")
    assert scan.sentence in tags["ban.reason"]


def test_names_no_encoding_knows_do_no_harm(
    run: Callable[..., Result], world: Path, tmp_path: Path, experiment: tuple[str, ...]
) -> None:
    """A model and samples whose names are not UTF-8 or hold control characters are judged."""
    model = tmp_path / os.fsdecode(b"mod\xffel\x1b[31m\n.onnx")
    samples = tmp_path / os.fsdecode(b"sam\xfeples.npz")
    model.write_bytes((world / "good.onnx").read_bytes())
    samples.write_bytes((world / "few.npz").read_bytes())

    result = run("scan", model, "--samples", samples, *experiment, "--output", tmp_path / "out")

    assert result.exit_code == 3, result.stderr
    assert result.stdout.endswith("mod\\udcffel\\x1b[31m\\n.onnx\n")
    assert result.stdout.count("\n") == 1
    document = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert document["model"]["uri"] == str(model)
    assert mlflow.last_active_run().info.run_name == "mod\\udcffel\\x1b[31m\\n.onnx"  # type: ignore[union-attr] # there is one


def test_inspect_refuses_in_one_sentence(run: Callable[..., Result], world: Path) -> None:
    """What `scan` refuses by its file alone, `inspect` refuses with the same words."""
    for name in ("empty model", "text", "picture", "two inputs", "no output", "no neurons"):
        scan = CANNOT_JUDGE[name]

        result = run("inspect", world / scan.model)

        (sentence,) = _sentences(result.stderr)
        assert result.exit_code == 3, name
        assert scan.sentence in sentence
        assert result.stdout == ""


@contextmanager
def _server(status: int, body: bytes, *, healthy: bool) -> Iterator[str]:
    """The URL of a server that gives the same answer to everything, save perhaps to /health."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            fine = healthy and self.path == "/health"
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200 if fine else status)
            self.send_header("Content-Length", str(len(b"OK" if fine else body)))
            self.end_headers()
            self.wfile.write(b"OK" if fine else body)

        do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 (the parent's names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the parent's name)
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _silence() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _nobody() -> Iterator[str]:
    """The URL of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


FORBIDDEN = json.dumps({"error_code": "PERMISSION_DENIED", "message": "not for you\nat all"})


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (_nobody, "Connection refused"),
        (_silence, "timed out"),
        (lambda: _server(500, b"broken", healthy=False), "answers 500, expected 200"),
        (lambda: _server(500, b"broken", healthy=True), "500"),
        (lambda: _server(403, FORBIDDEN.encode(), healthy=True), "PERMISSION_DENIED: not for you"),
        (lambda: _server(404, b"<html>nothing here", healthy=True), "404"),
        (lambda: _server(200, b"<html>log in first", healthy=True), "cannot record"),
    ],
    ids=["refuses", "silent", "ill", "falls ill", "forbids", "elsewhere", "login"],
)
def test_a_server_that_fails_is_a_tracking_failure(
    run: Callable[..., Result],
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: Callable[[], Iterator[str]],
    sentence: str,
) -> None:
    """Exit 4 within seconds and one sentence, before the scan; no database takes its place."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    good, started = Scan(sentence=""), time.monotonic()

    with server() as url:  # type: ignore[attr-defined] # pytest hides what contextmanager made
        result = run(
            *good.arguments(world), "--tracking-uri", url, "--output", tmp_path / "out",
            "--experiment", "any",
        )  # fmt: skip

    (told,) = _sentences(result.stderr)
    assert result.exit_code == 4, result.stderr
    assert told.startswith(f"ban-gate: cannot record the scan at `{url}`")
    assert sentence in told
    assert "check `--tracking-uri`" in told
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert list((tmp_path / "out").iterdir()) == []
    assert list((tmp_path / "work").iterdir()) == []
    assert time.monotonic() - started < 20


def test_child_processes_fail_like_the_command_line_in_this_one(
    world: Path, tmp_path: Path, experiment: tuple[str, ...], child: dict[str, str]
) -> None:
    """As CI runs it, C++ libraries and interpreter exit included: same codes, streams apart."""
    calls = {3: CANNOT_JUDGE["picture"], 2: USAGE["malformed TOML"]}
    running = {
        code: subprocess.Popen(
            [sys.executable, "-m", "mlflow_project", *scan.arguments(world), *experiment,
             "--output", str(tmp_path / str(code))],
            env=child, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for code, scan in calls.items()
    }  # fmt: skip

    ended = {code: (process.communicate(), process.wait()) for code, process in running.items()}

    for code, ((stdout, stderr), returned) in ended.items():
        (sentence,) = _sentences(stderr)
        assert returned == code, stderr
        assert calls[code].sentence in sentence
        assert stdout.count("\n") == (code == 3)
        assert "Traceback" not in stderr
        left = [path.name for path in tmp_path.glob(f"{code}/*")]
        assert sorted(left) == (EVIDENCE if code == 3 else [])
    assert list(tmp_path.glob("mlflow.db")) == []
