"""Switching off what libraries say unasked: to the terminal, and to their makers.

Environment variables, because most libraries read them when they are imported, and the processes that photoindex starts
inherit them. What somebody has set is left as it is, but for telemetry.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings

# Nothing leaves the machine, whatever else is set.
_TELEMETRY = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",  # albumentations asks PyPI for its newest version
    "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True",  # PaddleX asks four hosts whether they are there
}
_CHATTER = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OPENCV_LOG_LEVEL": "ERROR",
    "GLOG_minloglevel": "2",
    "FLAGS_minloglevel": "2",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "LANCE_LOG": "error",
}


def silence_libraries(loud: bool = False) -> None:
    """Before any of them is imported. `loud` leaves what they print, for finding an error."""
    os.environ.update(_TELEMETRY)
    if loud:
        return
    for name, value in _CHATTER.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    root = logging.getLogger()
    if not root.handlers:  # else Python prints warnings of loggers without one
        root.addHandler(logging.NullHandler())
