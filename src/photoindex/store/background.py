"""What everyday words reach in a library, for each table of image vectors: a file beside the table, derived from it.

It is made again from the vectors and the model at any time; a scan keeps it up to date with the photos it adds.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """`words` (n, width): everyday texts that the model understands, `crowd` (m, width): those it does not;
    `reached` (n,): the cosine of the nearest photo to each word; `mean` (width,): of the photos' vectors;
    `photos`: the ids that are counted in, in order; `source` says which model and texts they were,
    the fingerprint of the model first."""

    words: FloatArray
    crowd: FloatArray
    reached: FloatArray
    mean: FloatArray
    photos: npt.NDArray[np.int64]
    source: str

    @property
    def version(self) -> str:
        """The fingerprint of the model."""
        return self.source.partition(" ")[0]


class BackgroundFile:
    """The file for one table of vectors: it moves and goes with the table."""

    def __init__(self, folder: Path, table: str) -> None:
        self.folder = folder
        self.path = folder / f"{table}.background.npz"

    def read(self, *, photos: bool = True) -> Background | None:
        """None where there is none, or it is of another form and has to be made again.

        Without `photos`, which are many, these are empty: a search does not ask which were counted.
        """
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError), np.load(self.path) as saved:
            words, crowd, reached, mean = (
                saved[name].astype(np.float32) for name in ("words", "crowd", "reached", "mean")
            )
            counted = saved["photos"] if photos else np.empty(0, np.int64)
            return Background(words, crowd, reached, mean, counted, str(saved["source"]))
        return None

    def rename(self, table: str) -> None:
        """Let it be that of another table, and there be none where there is no file here."""
        name = BackgroundFile(self.folder, table).path
        if self.path.exists():
            self.path.replace(name)
        else:
            name.unlink(missing_ok=True)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def write(self, background: Background) -> None:
        part = self.path.with_suffix(".part")
        with part.open("wb") as stream:
            np.savez(
                stream,
                words=background.words.astype(np.float16),
                crowd=background.crowd.astype(np.float16),
                reached=background.reached,
                mean=background.mean,
                photos=background.photos,
                source=np.array(background.source),
            )
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self.path)
