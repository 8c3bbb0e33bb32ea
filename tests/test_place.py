"""Naming the place of a position, offline."""

from __future__ import annotations

import pytest

from photoindex.records import Metadata, Place
from photoindex.steps.place import nearest_place


def place_at(latitude: float | None, longitude: float | None) -> Place | None:
    return nearest_place(Metadata("JPEG", 1, 1, latitude=latitude, longitude=longitude))


def test_a_photo_without_a_position_has_no_place() -> None:
    assert place_at(None, None) is None
    assert place_at(48.85, None) is None


@pytest.mark.parametrize("position", [(0.0, 0.0), (30.0, -40.0), (0.0, -150.0), (-90.0, 0.0), (90.0, 0.0)])
def test_a_photo_far_from_any_place_claims_none(position: tuple[float, float]) -> None:
    assert place_at(*position) is None


@pytest.mark.parametrize(
    ("position", "city", "country"),
    [
        ((52.5163, 13.3777), "Berlin", "DE"),
        ((-33.8568, 151.2153), "Sydney", "AU"),
        ((51.5007, -0.1246), "London", "GB"),
        ((35.6586, 139.7454), "Tokyo", "JP"),
    ],
)
def test_a_photo_in_a_city_is_there(position: tuple[float, float], city: str, country: str) -> None:
    found = place_at(*position)
    assert found is not None
    assert found.country_code == country
    assert city in (found.city, found.metropolis)


def test_a_suburb_is_named_with_the_metropolis_around_it() -> None:
    found = place_at(48.8584, 2.2945)
    assert found is not None
    assert (found.metropolis, found.region, found.country) == ("Paris", "Île-de-France", "France")


def test_a_village_far_from_any_big_city_has_no_metropolis() -> None:
    found = place_at(46.6242, 8.0414)
    assert found is not None
    assert (found.city, found.metropolis, found.country_code) == ("Grindelwald", None, "CH")
