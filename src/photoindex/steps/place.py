"""Place: city, region and country of a GPS position, from the GeoNames extract inside `reverse_geocode`. No network."""

from __future__ import annotations

from math import asin, cos, pi, radians, sin, sqrt
from typing import Any

from photoindex.records import Metadata, Place

_METROPOLIS = 300_000
# Beyond that the nearest town says nothing: the photo was taken at sea or in a wilderness.
_FARTHEST_KM = 150.0
_EARTH_KM = 6371.0
_PEOPLE_PER_KM2 = 4_000


def nearest_place(metadata: Metadata) -> Place | None:
    """The populated place nearest to the photo, None where it has no position or lies far from any place.

    The nearest place at the Eiffel Tower is Neuilly, so a big city that reaches as far is named beside it.
    """
    if metadata.latitude is None or metadata.longitude is None:
        return None
    import reverse_geocode

    here = (metadata.latitude, metadata.longitude)
    found = reverse_geocode.get(here)
    if _distance_km((found["latitude"], found["longitude"]), here) > _FARTHEST_KM:
        return None
    big = reverse_geocode.get(here, min_population=_METROPOLIS)
    metropolis = big["city"] if big["city"] != found["city"] and _reaches(big, here) else None
    return Place(found["city"], metropolis, found.get("state"), found["country"], found["country_code"])


def _reaches(city: dict[str, Any], here: tuple[float, float]) -> bool:
    """Whether a disc of the city's people, living as densely as in a large city, would cover the position."""
    radius = sqrt(city["population"] / _PEOPLE_PER_KM2 / pi)
    return _distance_km((city["latitude"], city["longitude"]), here) <= radius


def _distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance by the haversine formula; positions in degrees."""
    (lat1, lon1), (lat2, lon2) = ((radians(x), radians(y)) for x, y in (a, b))
    h = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * _EARTH_KM * asin(sqrt(h))
