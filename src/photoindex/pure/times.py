"""Times as people and other programs write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def utc_time(value: Any) -> datetime:
    """A text in ISO 8601 as UTC without a zone, as all times of the catalog are. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("no text")
    at = datetime.fromisoformat(value)
    try:
        return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    except OverflowError as error:  # in UTC it would lie before the year 1 or after 9999
        raise ValueError("out of range") from error
