"""A small evaluation, really measured: two crops of a photograph through a bundle, and through JPEG beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from time import perf_counter

import numpy as np
from elic_runtime.bundle import Bundle
from elic_runtime.evaluation.coding import FileCoding
from elic_runtime.evaluation.curves import Curve, Delta, Verdict, deltas, judge, mean_curves
from elic_runtime.evaluation.details import describe
from elic_runtime.evaluation.points import BundleFacts, Details, Evaluation, ImageResult, Point
from elic_runtime.machine import cores
from elic_runtime.metrics import psnr
from elic_runtime.reports.page import render_report
from elic_runtime.runners import onnxruntime_factory
from PIL import Image

STEPS = (0.5, 1.0, 2.0, 4.0)
QUALITIES = (20, 40, 60, 80)


@dataclass(frozen=True)
class Reported:
    """What a report is made of."""

    evaluation: Evaluation
    verdict: Verdict
    curves: list[Curve]
    deltas: list[Delta]
    details: list[Details]
    graphs: Mapping[str, str]
    pictures: Path

    def page(self, **changes) -> str:
        """The page, with some of its content replaced."""
        return render_report(**vars(replace(self, **changes)))


def reported(folder: Path, photographs: Mapping[str, np.ndarray], pictures: Path) -> Reported:
    """Measure photographs through a bundle and through JPEG; `pictures` is where those of the report go."""
    bundle, factory = Bundle(folder), onnxruntime_factory()
    coding, label = FileCoding(bundle, factory, STEPS), folder.name
    pictures.mkdir(exist_ok=True)
    results = [
        ImageResult(image=name, points=(*_elic(name, label, photograph, coding), *_jpeg(name, photograph)))
        for name, photograph in photographs.items()
    ]
    manifest = bundle.manifest
    facts = BundleFacts(
        label=label,
        form=manifest.form,
        shape=str(manifest.encoder),
        precision=manifest.precision,
        arithmetic=manifest.arithmetic,
        checkpoint_sha256=manifest.checkpoint.sha256,
        fingerprint=manifest.fingerprint,
        runner=str(factory),
    )
    evaluation = Evaluation(
        machine=f"{cores()} cores",
        bundles=(facts,),
        anchors=("JPEG",),
        steps=STEPS,
        resize=None,
        images=tuple(results),
    )
    compared = deltas(evaluation, "JPEG")
    return Reported(
        evaluation=evaluation,
        verdict=judge(evaluation, compared),
        curves=mean_curves(results),
        deltas=compared,
        details=[describe(name, label, photograph, coding, pictures) for name, photograph in photographs.items()],
        graphs={},
        pictures=pictures,
    )


def _elic(name: str, label: str, photograph: np.ndarray, coding: FileCoding):
    for coded in coding(photograph):
        point = _point(name, label, f"step {coded.step:g}", photograph, coded.picture, len(coded.data))
        yield point.model_copy(
            update={"step": coded.step, "encode_s": coded.encode_s, "decode_s": coded.decode_s},
        )


def _jpeg(name: str, photograph: np.ndarray):
    for step, quality in zip(STEPS, reversed(QUALITIES), strict=True):
        start = perf_counter()
        Image.fromarray(photograph).save(file := BytesIO(), "JPEG", quality=quality)
        middle = perf_counter()
        decoded = np.asarray(Image.open(file))
        end = perf_counter()
        point = _point(name, "JPEG", f"quality {quality}", photograph, decoded, len(file.getvalue()))
        yield point.model_copy(
            update={"step": step, "quality": quality, "encode_s": middle - start, "decode_s": end - middle}
        )


def _point(name: str, codec: str, setting: str, photograph: np.ndarray, decoded: np.ndarray, size: int) -> Point:
    height, width = photograph.shape[:2]
    return Point(
        image=name,
        codec=codec,
        setting=setting,
        width=width,
        height=height,
        bytes=size,
        bpp=8 * size / (height * width),
        psnr_db=psnr(photograph, decoded),
    )
