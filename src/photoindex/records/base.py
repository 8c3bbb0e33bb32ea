"""What every record is made of: kinds of array, the key of a photo, a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Status = Literal["done", "failed", "skipped"]


Uint8Image = npt.NDArray[np.uint8]


FloatArray = npt.NDArray[np.float32]


def photo_id_of(sha256: str) -> int:
    """The signed 64-bit key of a photo in both stores: the first eight bytes of its SHA-256.

    Content decides it, so writing a photo again after a crash meets the same rows.
    """
    return int.from_bytes(bytes.fromhex(sha256[:16]), "big", signed=True)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a step could not be done for a photo: a stable code for scripts, a sentence for people."""

    code: str
    message: str
