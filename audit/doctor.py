"""Examines an installation: what works, what is missing, and how to correct it."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from audit.encoders.loading import load_encoder
from audit.privacy.pseudonyms import load_salt
from audit.storage.folder import check_writable, refusal_of
from pipelines.errors import AuditError, OutputError

__all__ = ["Finding", "examine"]

_REMEDIES = {
    JPEGBaseline8Bit: "python-gdcm",
    JPEGLosslessSV1: "python-gdcm",
    JPEGLSLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg pylibjpeg-openjpeg",
    HTJ2KLossless: "pylibjpeg pylibjpeg-openjpeg",
    RLELossless: "pylibjpeg pylibjpeg-rle",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    subject: str
    detail: str
    good: bool


def examine(*, model: str, out: Path) -> tuple[Finding, ...]:
    """Check device, decoders, model, write access and salt."""
    return (_device(), *(_decoder(syntax) for syntax in _REMEDIES), _model(model), _write_access(out), _salt())


def _device() -> Finding:
    if torch.cuda.is_available():
        return Finding(subject="device", detail=f"CUDA, {torch.cuda.get_device_name()}", good=True)
    detail = f"CPU, {os.cpu_count()} cores, torch {torch.__version__}; no CUDA device, attribution will take longer"
    return Finding(subject="device", detail=detail, good=True)


def _decoder(syntax: UID) -> Finding:
    if get_decoder(syntax).is_available:
        return Finding(subject=f"decoder {syntax.name}", detail="available", good=True)
    return Finding(subject=f"decoder {syntax.name}", detail=f"run `pip install {_REMEDIES[syntax]}`", good=False)


def _model(name: str) -> Finding:
    try:
        info = load_encoder(name).info
    except AuditError as error:
        return Finding(subject=f"model {name}", detail=str(error), good=False)
    return Finding(subject=f"model {name}", detail=f"{info.family}, sha256 {info.sha256[:12]}", good=True)


def _write_access(out: Path) -> Finding:
    refused = refusal_of(out)
    if refused is not None:
        return Finding(subject="write access", detail=refused, good=False)
    try:
        check_writable(out, overwrite=True)
    except OutputError:  # it is writable, but a run needs a folder of its own
        detail = f"{out.absolute()}, which holds other files: give --out of a run an empty or a new folder"
        return Finding(subject="write access", detail=detail, good=True)
    return Finding(subject="write access", detail=str(out.absolute()), good=True)


def _salt() -> Finding:
    try:
        load_salt()
    except AuditError as error:
        return Finding(subject="salt for study keys", detail=str(error), good=False)
    return Finding(subject="salt for study keys", detail="present", good=True)
