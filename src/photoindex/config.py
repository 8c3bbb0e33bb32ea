"""Where things lie and how they are set: read once by the command line, then passed down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from photoindex.errors import UsageError

APP = "photoindex"


@dataclass(frozen=True, slots=True)
class Settings:
    """Folders of one run. `library` holds one index; weights in `models_dir` are shared by all libraries."""

    library: Path
    models_dir: Path
    user_models: Path


def read_settings(
    library: str | None = None, env: Mapping[str, str] | None = None, *, models: str | None = None
) -> Settings:
    """Settings from the --library and --models options and the environment.

    A library that looks like a path is a folder; a bare name lies in the platform's data directory.
    PHOTOINDEX_HOME moves data, weights and the user's own models.toml together. `models`, or PHOTOINDEX_MODELS_FILE,
    names another file to use as that one. Raises UsageError where it is not there.
    """
    env = os.environ if env is None else env
    home = env.get("PHOTOINDEX_HOME")
    data = Path(os.path.expanduser(home)) if home else platformdirs.user_data_path(APP, appauthor=False)
    config = Path(os.path.expanduser(home)) if home else platformdirs.user_config_path(APP, appauthor=False)
    name = library or env.get("PHOTOINDEX_LIBRARY") or "default"
    is_path = os.sep in name or name.startswith((".", "~"))
    return Settings(
        library=_absolute(Path(name)) if is_path else data / name,
        models_dir=_absolute(Path(env.get("PHOTOINDEX_MODELS") or data / "models")),
        user_models=_chosen_models(models, env) or config / "models.toml",
    )


def crash_folder(env: Mapping[str, str] | None = None) -> Path:
    """Where reports of crashes lie: with PHOTOINDEX_HOME, or where the platform keeps logs."""
    home = (os.environ if env is None else env).get("PHOTOINDEX_HOME")
    return _absolute(Path(home) if home else platformdirs.user_log_path(APP, appauthor=False)) / "crashes"


def _chosen_models(option: str | None, env: Mapping[str, str]) -> Path | None:
    """The models.toml that the user asked for by name, which therefore has to be there."""
    name = option or env.get("PHOTOINDEX_MODELS_FILE")
    if not name:
        return None
    file = _absolute(Path(name))
    if not file.exists() or file.is_dir():
        raise UsageError(f"{'--models' if option else 'PHOTOINDEX_MODELS_FILE'}: there is no file {file}.")
    return file


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))
