"""Any picture files to vectors, for a search by picture: prepared and encoded as a scan would, without torch."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from photoindex.errors import ModelBroken, PictureUnreadable
from photoindex.media.source import Need, open_source
from photoindex.media.unreadable import Unreadable
from photoindex.media.views import prepare_view, short_side_for
from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, FloatArray, FoundFile, RuntimeOptions, Uint8Image, View
from photoindex.runtimes.choose import open_session
from photoindex.steps.forms import read_forms


class PictureEncoder:
    """The image tower of an embedding model, from its prepared forms."""

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        """Raises ModelMissing without weights, ModelBroken where the forms have not been made or are not usable,
        RuntimeUnavailable."""
        forms = read_forms(installed)
        if "visual" in forms.refused:
            raise ModelBroken(forms.model, forms.refused["visual"], f"photoindex models pull {forms.model}")
        self._view = forms.view
        self._session = open_session(forms.visual, options=options, purpose="search", kept_in=forms.folder)

    def encode(self, paths: Sequence[str]) -> FloatArray:
        """float32 (len(paths), width), each row L2-normalised. Raises PictureUnreadable."""
        vectors = [self._session.run({"pixels": _pixels(path, self._view)[None]})["vectors"][0] for path in paths]
        rows = np.asarray(vectors, np.float32)
        if not np.isfinite(rows).all():
            raise PictureUnreadable(paths[int(np.argmin(np.isfinite(rows).all(axis=1)))], "the model gives no numbers")
        return rows

    def close(self) -> None:
        self._session.close()


def _pixels(path: str, view: View) -> Uint8Image:
    try:
        found = os.stat(path)
        file = FoundFile(path, "", found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino)
        return prepare_view(open_source(file, Need(short_side_for(view))).image, view)
    except OSError as error:
        raise PictureUnreadable(path, error.strerror or error) from error
    except ValueError as error:  # a NUL byte in the path
        raise PictureUnreadable(path, error) from error
    except Unreadable as failure:
        raise PictureUnreadable(path, failure) from failure
