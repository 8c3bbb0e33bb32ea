"""Any Pillow mode and profile to plain sRGB."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageCms

_MODE_OF_SPACE = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}


def to_plain(image: Image.Image) -> Image.Image:
    """L, RGB, CMYK or LAB with 8 bits a channel, colours untouched; transparency is laid on white."""
    if image.mode.startswith("I") or image.mode == "F":
        return _to_eight_bits(image)
    if image.mode == "1":
        return image.convert("L")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    white.alpha_composite(image)
    return white.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale integers by their depth and floats by their range: Pillow's own conversion clips at 255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
    peak = float(values.max(initial=0.0))
    if image.mode.startswith("I;16"):
        top = 65535.0
    elif image.mode == "F" and peak <= 1.0:
        top = 1.0
    else:
        top = next((limit for limit in (255.0, 65535.0) if peak <= limit), peak)
    return Image.fromarray(np.clip(values * (255.0 / top) + 0.5, 0, 255).astype(np.uint8))


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB from a plain image and its ICC profile. A profile that does not fit the pixels is ignored."""
    if image.mode == "LAB" and not profile:
        return ImageCms.applyTransform(image, _lab_transform()) or image.convert("RGB")
    transform = _transform_of(profile) if profile else None
    if transform is None:
        return image.convert("RGB")
    mode, convert = transform
    if image.mode == "L" and mode == "RGB":
        image = image.convert("RGB")
    if image.mode != mode:
        return image.convert("RGB")
    return ImageCms.applyTransform(image, convert) or image.convert("RGB")


@functools.lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


@functools.lru_cache(maxsize=32)
def _transform_of(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    """The mode a profile speaks of and its transform to sRGB; None where it is sRGB already or broken.

    Kept by content: a library's pictures come from few cameras, and building one costs more than using it.
    """
    try:
        parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODE_OF_SPACE.get(parsed.profile.xcolor_space)
        name = (parsed.profile.profile_description or "").lower()
        if mode is None or (mode == "RGB" and ("srgb" in name or name == "c2")):  # c2: a sRGB of 500 bytes
            return None
        return mode, ImageCms.buildTransform(parsed, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
