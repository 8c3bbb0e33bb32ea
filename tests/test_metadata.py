"""What a file says of its picture: dates, camera, place, words, from EXIF, XMP, IPTC, sidecars and names."""

import csv
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from photoindex.media.dates import ImpossibleDate, best_date, date_in_name, parse_date, parse_offset
from photoindex.media.metadata import gather
from photoindex.media.source import Need, open_source
from photoindex.media.unreadable import Unreadable
from photoindex.media.xmp import parse_xmp, xmp_degrees, xmp_words
from photoindex.records import DateCandidate, FoundFile, Metadata
from photoindex.steps.metadata import read

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"
NOW = datetime(2026, 6, 1)


def metadata_of(path: Path, *sidecars: Path) -> Metadata:
    status = os.stat(path)
    names = tuple(str(sidecar) for sidecar in sidecars)
    file = FoundFile(str(path), "", status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino, names)
    return gather(open_source(file, Need(None)), NOW)


def with_exif(path: Path, main: dict[int, Any], details: dict[int, Any] | None = None, **more: Any) -> Path:
    exif = Image.Exif()
    exif.update(main)
    exif.get_ifd(0x8769).update(details or {})
    exif.get_ifd(0x8825).update(more.pop("gps", {}))
    Image.new("RGB", (40, 30)).save(path, exif=exif.tobytes(), **more)
    return path


def packet(attributes: str = "", body: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"'
        f' xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/" {attributes}>{body}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def bag(name: str, *words: str) -> str:
    return f"<{name}><rdf:Bag>{''.join(f'<rdf:li>{word}</rdf:li>' for word in words)}</rdf:Bag></{name}>"


CAMERA = {0x010F: "NIKON CORPORATION", 0x0110: "NIKON D70", 0x0112: 6, 0x0132: "2020:01:02 03:04:05"}
DETAILS = {
    0x9003: "2019:07:14 18:30:05",
    0x9291: "25",
    0x9011: "+02:00",
    0x8827: 400,
    0x829D: IFDRational(28, 10),
    0x829A: IFDRational(1, 250),
    0x920A: IFDRational(50, 1),
    0xA434: "AF-S 50mm",
}


def test_a_camera_file_tells_when_and_how_it_was_taken(tmp_path: Path) -> None:
    said = metadata_of(with_exif(tmp_path / "a.jpg", CAMERA, DETAILS))
    assert (said.format, said.width, said.height, said.orientation) == ("JPEG", 30, 40, 6)
    assert (said.taken_at, said.offset_minutes) == (datetime(2019, 7, 14, 18, 30, 5, 250_000), 120)
    assert said.taken_source == "exif_original"
    assert (said.camera_make, said.camera_model, said.lens) == ("NIKON CORPORATION", "NIKON D70", "AF-S 50mm")
    assert (said.iso, said.f_number, said.exposure_s, said.focal_mm) == (400, 2.8, 0.004, 50.0)
    assert [date.source for date in said.dates] == ["exif_original", "exif_modified", "file_time"]
    assert said.warnings == ()


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.avif"])
def test_other_formats_are_read_alike(tmp_path: Path, name: str) -> None:
    said = metadata_of(with_exif(tmp_path / name, CAMERA, DETAILS))
    assert said.taken_at == datetime(2019, 7, 14, 18, 30, 5, 250_000)
    assert (said.camera_model, said.iso) == ("NIKON D70", 400)


def place(latitude: Any, longitude: Any, north: str = "N", east: str = "E") -> dict[int, Any]:
    return {1: north, 2: latitude, 3: east, 4: longitude}


def test_places_are_degrees_with_south_and_west_negative(tmp_path: Path) -> None:
    gps = place((33.0, 51.0, 54.0), (151.0, 12.0, 36.0), "S", "W") | {5: b"\1", 6: 12.5}
    gps |= {7: (10.0, 20.0, 30.0), 29: "2019:07:14"}
    said = metadata_of(with_exif(tmp_path / "a.jpg", {}, gps=gps))
    assert (said.latitude, said.longitude) == (pytest.approx(-33.865), pytest.approx(-151.21))
    assert said.altitude_m == -12.5
    assert said.dates[0] == DateCandidate("gps", datetime(2019, 7, 14, 10, 20, 30), 0)


@pytest.mark.parametrize(
    ("gps", "word"),
    [
        (place((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), "no fix"),
        (place((99.0, 0.0, 0.0), (7.0, 0.0, 0.0)), "off the globe"),
        (place((IFDRational(4, 0),) * 3, (IFDRational(4, 0),) * 3), "cannot be read"),
    ],
)
def test_an_impossible_place_is_left_out_with_a_warning(tmp_path: Path, gps: dict[int, Any], word: str) -> None:
    said = metadata_of(with_exif(tmp_path / "a.jpg", {}, gps=gps))
    assert said.latitude is None
    assert said.longitude is None
    assert any(word in warning for warning in said.warnings)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("0000:00:00 00:00:00", "impossible"),
        ("2023:13:45 27:61:61", "impossible"),
        ("0001:01:01 00:00:00", "before photography"),
        ("2099:12:31 23:59:59", "future"),
        ("yesterday", "unreadable"),
    ],
)
def test_an_impossible_date_becomes_a_warning(tmp_path: Path, text: str, word: str) -> None:
    said = metadata_of(with_exif(tmp_path / "a.jpg", {0x0132: text}))
    assert said.taken_source == "file_time"
    assert word in said.warnings[0]


def test_a_blank_date_is_no_date_and_no_warning(tmp_path: Path) -> None:
    said = metadata_of(with_exif(tmp_path / "a.jpg", {0x0132: "    :  :     :  :  "}))
    assert (said.taken_source, said.warnings) == ("file_time", ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-07-04T10:20:30", (datetime(2021, 7, 4, 10, 20, 30), None)),
        ("2021-07-04T10:20:30.5+05:30", (datetime(2021, 7, 4, 10, 20, 30, 500_000), 330)),
        ("2021-07-04T10:20Z", (datetime(2021, 7, 4, 10, 20), 0)),
        ("2021/07/04 10:20:30", (datetime(2021, 7, 4, 10, 20, 30), None)),
        ("20210704 102030-0800", (datetime(2021, 7, 4, 10, 20, 30), -480)),
        ("2021-07-04", (datetime(2021, 7, 4), None)),
        ("", None),
    ],
)
def test_dates_are_read_in_every_usual_form(text: str, expected: tuple[datetime, int | None] | None) -> None:
    assert parse_date(text, NOW) == expected


def test_offsets_beyond_the_date_line_are_ignored() -> None:
    assert parse_offset("+25:00") is None
    assert parse_offset("-03:30") == -210
    with pytest.raises(ImpossibleDate):
        parse_date("12.05.2021", NOW)


@pytest.mark.parametrize(
    ("name", "taken", "offset"),
    [
        ("IMG_20230501_123456.jpg", datetime(2023, 5, 1, 12, 34, 56), None),
        ("PXL_20231006_063536303.jpg", datetime(2023, 10, 6, 6, 35, 36, 303_000), 0),
        ("2023-05-01 12.34.56.jpg", datetime(2023, 5, 1, 12, 34, 56), None),
        ("IMG-20230501-WA0001.jpg", datetime(2023, 5, 1), None),
        ("Screenshot_20230501-123456_Maps.png", datetime(2023, 5, 1, 12, 34, 56), None),
        ("Screenshot_2023-05-01-12-34-56-789_com.app.png", datetime(2023, 5, 1, 12, 34, 56, 789_000), None),
        ("Screen Shot 2023-05-01 at 3.04.05 PM.png", datetime(2023, 5, 1, 15, 4, 5), None),
        ("signal-2023-05-01-123456.jpg", datetime(2023, 5, 1, 12, 34, 56), None),
        ("20230501_123456.heic", datetime(2023, 5, 1, 12, 34, 56), None),
        ("FB_IMG_1682944496000.jpg", datetime(2023, 5, 1, 12, 34, 56), 0),
    ],
)
def test_names_that_cameras_and_phones_give_hold_the_date(name: str, taken: datetime, offset: int | None) -> None:
    assert date_in_name(name, NOW) == DateCandidate("filename", taken, offset)


@pytest.mark.parametrize(
    "name", ["DSC_0001.jpg", "IMG_20231301_120000.jpg", "20991231.jpg", "9202305011.jpg", "scan 1984.tif"]
)
def test_other_numbers_in_a_name_are_no_date(name: str) -> None:
    assert date_in_name(name, NOW) is None


def test_the_most_trustworthy_date_is_chosen() -> None:
    day = datetime(2020, 1, 1)
    sources = ["file_time", "exif_modified", "filename", "gps", "iptc", "exif_digitized", "xmp", "exif_original"]
    for count in range(1, len(sources) + 1):
        best = best_date([DateCandidate(source, day) for source in sources[:count]])
        assert best is not None
        assert best.source == sources[count - 1]
    assert best_date([]) is None


def test_words_come_from_exif_and_windows_tags(tmp_path: Path) -> None:
    main = {
        0x010E: "A café in Łódź".encode(),
        0x9C9B: "Café".encode("utf-16-le"),
        0x9C9E: "coffee;poland\0".encode("utf-16-le"),
        0x4746: 4,
    }
    said = metadata_of(with_exif(tmp_path / "a.jpg", main))
    assert (said.description, said.title, said.keywords, said.rating) == (
        "A café in Łódź",
        "Café",
        ("coffee", "poland"),
        4,
    )


def test_what_cameras_write_by_themselves_is_no_description(tmp_path: Path) -> None:
    assert metadata_of(with_exif(tmp_path / "a.jpg", {0x010E: "OLYMPUS DIGITAL CAMERA         "})).description is None


def test_terminal_codes_and_control_characters_are_taken_out(tmp_path: Path) -> None:
    said = metadata_of(
        with_exif(tmp_path / "a.jpg", {0x010E: "\x1b[31mred\x1b[0m\x07 <b>", 0x010F: b"Mak\xe9\0\0junk"})
    )
    assert said.description == "red <b>"
    assert said.camera_make == "Maké"


def test_xmp_inside_the_file_is_read(tmp_path: Path) -> None:
    body = bag("dc:subject", "harbour", "boat") + bag("lr:hierarchicalSubject", "Places|Norway|Bergen", "boat")
    body += '<dc:title><rdf:Alt><rdf:li xml:lang="de">Hafen</rdf:li>'
    body += '<rdf:li xml:lang="x-default">Harbour</rdf:li></rdf:Alt></dc:title>'
    path = tmp_path / "a.jpg"
    inside = packet('xmp:Rating="3" exif:DateTimeOriginal="2018-03-04T05:06:07+01:00"', body)
    with_exif(path, {0x0132: "2020:01:02 03:04:05"}, xmp=inside)
    said = metadata_of(path)
    assert (said.title, said.rating) == ("Harbour", 3)
    assert said.keywords == ("harbour", "boat", "Places", "Norway", "Bergen")
    assert (said.taken_at, said.offset_minutes, said.taken_source) == (datetime(2018, 3, 4, 5, 6, 7), 60, "xmp")


def test_a_sidecar_wins_over_what_the_file_says(tmp_path: Path) -> None:
    path = with_exif(
        tmp_path / "a.jpg", {0x4746: 1, 0x010E: "old"}, xmp=packet('xmp:Rating="2"', bag("dc:subject", "old"))
    )
    sidecar = tmp_path / "a.jpg.xmp"
    sidecar.write_bytes(packet('xmp:Rating="5"', bag("dc:subject", "new", "words")))
    said = metadata_of(path, sidecar)
    assert (said.rating, said.keywords, said.description) == (5, ("new", "words"), "old")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b'<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]><x>&b;</x>', "refused"),
        (b'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/hostname">]><x>&e;</x>', "refused"),
        (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF', "damaged"),
        (b"\xff\xfe\0\0", "damaged"),
    ],
)
def test_a_hostile_or_broken_sidecar_costs_only_itself(tmp_path: Path, content: bytes, word: str) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(content)
    said = metadata_of(with_exif(tmp_path / "a.jpg", CAMERA), sidecar, tmp_path / "gone.xmp")
    assert said.camera_model == "NIKON D70"
    assert word in said.warnings[0]
    assert "a.xmp" in said.warnings[0]
    assert "gone.xmp cannot be read" in said.warnings[1]


@pytest.mark.parametrize(
    ("written", "stars"), [("1", 1), ("25", 2), ("50", 3), ("75", 4), ("99", 5), ("0", 0), ("700", None)]
)
def test_ratings_of_windows_are_stars(written: str, stars: int | None) -> None:
    assert xmp_words(parse_xmp(packet(f'MicrosoftPhoto:Rating="{written}"'), []))["rating"] == stars


def test_places_in_xmp_are_read() -> None:
    assert xmp_degrees("52,30.5N") == pytest.approx(52.508333)
    assert xmp_degrees("13,24,36W") == pytest.approx(-13.41)
    assert xmp_degrees("-33.5") == -33.5
    assert xmp_degrees("north") is None


def test_damaged_exif_never_costs_the_photo(tmp_path: Path) -> None:
    whole = with_exif(tmp_path / "a.jpg", CAMERA, DETAILS).read_bytes()
    start = whole.index(b"Exif\0\0") + 6
    for at in range(start, start + 300, 3):
        (tmp_path / "b.jpg").write_bytes(whole[:at] + b"\xff\xff\xff" + whole[at + 3 :])
        assert metadata_of(tmp_path / "b.jpg").format == "JPEG"


def test_metadata_is_read_where_the_pixels_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif.update(CAMERA)
    Image.effect_noise((200, 200), 90).save(path, exif=exif.tobytes())
    path.write_bytes(path.read_bytes()[:4000])
    status = os.stat(path)
    source = open_source(FoundFile(str(path), "", status.st_size, status.st_mtime_ns, 0, 0), Need(None))
    assert read(source).camera_model == "NIKON D70"
    with pytest.raises(Unreadable):
        _ = source.image


@pytest.mark.skipif(not PHOTOS.exists(), reason="the shared test pictures are not here")
def test_real_photos_agree_with_an_independent_reading_of_their_exif() -> None:
    """All of the manifest's rows but those whose date or place is impossible, and raw files it could not read."""
    tags = {"DateTimeOriginal": "exif_original", "DateTime": "exif_modified", "DateTimeDigitized": "exif_digitized"}
    with open(PHOTOS / "manifest.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if "bad" not in row["path"] and not row["path"].endswith(".xmp")]
    wrong = []
    for row in rows:
        if row["path"].endswith(("h012.heic", "m006.jpg")):  # 200 megapixels to no purpose; a date of zeros
            continue
        said = metadata_of(PHOTOS / row["path"])
        dates = [
            date.taken_at.replace(microsecond=0) for date in said.dates if date.source == tags.get(row["exif_date_tag"])
        ]
        if row["exif_datetime"] and datetime.strptime(row["exif_datetime"], "%Y:%m:%d %H:%M:%S") not in dates:
            wrong.append((row["path"], row["exif_datetime"], dates))
        if row["make"] and (row["make"], row["model"] or None) != (said.camera_make, said.camera_model):
            wrong.append((row["path"], row["make"], row["model"], said.camera_make, said.camera_model))
        if row["gps_lat"] and float(row["gps_lat"]) and said.latitude != pytest.approx(float(row["gps_lat"]), abs=1e-5):
            wrong.append((row["path"], row["gps_lat"], said.latitude))
    assert len(rows) > 400
    assert not wrong


@pytest.mark.skipif(not PHOTOS.exists(), reason="the shared test pictures are not here")
@pytest.mark.parametrize(
    ("name", "model"),
    [("r003.cr3", "Canon EOS M50"), ("r004.raf", "FinePix S5Pro"), ("r005.nef", "NIKON D70"), ("r006.rw2", "DMC-LX3")],
)
def test_raw_files_tell_their_camera_and_date(name: str, model: str) -> None:
    said = metadata_of(PHOTOS / "raw" / name)
    assert said.camera_model == model
    assert said.taken_source == "exif_original"
