"""Evaluation: files of questions, their scores, and that search keeps what it promises on drawn scenes and texts."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import Shell, install_tiny_clip, shell
from photoindex.errors import UsageError
from photoindex.evaluate import Question, Scored, add_question, read_questions, summarised
from photoindex.records import Analysed, FoundFile, Metadata, Outcome, TextLine
from photoindex.scan.documents import write_due_documents
from photoindex.store.library import Library

# --- files ----------------------------------------------------------------------------------------------------------


def test_questions_are_read_with_paths_below_their_folder(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text(
        "\ufeffquery,relevant_files,also_acceptable\nred boat,a/1.jpg;/x/2.jpg,3.jpg\n helicopter ,,\n,4.jpg,\n"
    )
    first, second = read_questions(path)
    assert first == Question("1", "query", "red boat", (f"{tmp_path}/a/1.jpg", "/x/2.jpg"), (f"{tmp_path}/3.jpg",))
    assert second == Question("2", "query", "helicopter")
    assert read_questions(path, Path("/elsewhere"))[0].relevant[0] == "/elsewhere/a/1.jpg"


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,files\nboat,a.jpg\n")
    with pytest.raises(UsageError, match="no column 'query'"):
        read_questions(tmp_path / "q.csv")
    with pytest.raises(UsageError, match="Cannot read"):
        read_questions(tmp_path / "none.csv")


def test_what_is_added_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    asked = [
        Question("a", "mine", 'the "red, boat"', (f"{tmp_path}/ü/1.jpg", "/outside.jpg")),
        Question("b", "mine", "nothing such"),
    ]
    add_question(path, asked[0])
    path.write_text(path.read_text().rstrip("\n"))  # as some editors leave it
    add_question(path, asked[1])
    assert read_questions(path) == asked
    with pytest.raises(UsageError, match="cannot stand"):
        add_question(path, Question("c", "mine", "odd", ("/a;b.jpg",)))
    assert read_questions(path) == asked


def test_scores_are_means_by_mode_and_type_and_of_questions_about_nothing() -> None:
    rows = [
        Scored("1", "x", "q", "hybrid", 3, recall=1.0, ndcg=0.5, rank=1.0),
        Scored("2", "y", "q", "hybrid", 3, recall=0.0, ndcg=0.0, rank=0.0),
        Scored("3", "y", "q", "hybrid", 0, empty=True),
        Scored("4", "y", "q", "hybrid", 9, empty=False),
    ]
    every, x, y = summarised(rows)
    assert (every.type, every.queries, every.recall, every.ndcg, every.mrr) == ("all", 2, 0.5, 0.25, 0.5)
    assert (every.empty, every.empty_right) == (2, 0.5)
    assert (x.type, x.recall, x.empty, x.empty_right) == ("x", 1.0, 0, None)
    assert (y.type, y.queries, y.recall) == ("y", 1, 0.0)


# --- what search promises -------------------------------------------------------------------------------------------

DRAWN = [
    *("a red circle", "a red circle at night", "a blue circle", "a green star", "a yellow star in the snow"),
    *("a blue car", "a red car in a meadow", "a white car", "a pink umbrella", "a green umbrella", "a blue cup"),
    *("a white cup", "a yellow balloon", "a purple balloon on the sea", "a black triangle", "an orange triangle"),
    *("a red heart", "a pink heart", "a sun", "a sun on the sea", "a mountain", "a mountain in the snow", "a clock"),
    *("a clock at night", "a yellow ring", "a blue ring"),
]
WRITTEN = [
    *("Pizzeria Bella Napoli\nTotale 24,90", "Grüße aus Überlingen", "Marcus Aurelius\nMeditations", "NO PARKING"),
    *("Réservation de l'hôtel", "東京都庁舎", "Дворцовая площадь", "İstanbul Havalimanı", "coronavirus infection"),  # noqa: RUF001
    *(
        "Gate B12 Lufthansa",
        "Mindesthaltbarkeit 05.2027",
        "Wurstsalat mit Brot",
        "Serial No. AX-44921",
        "한국어 교과서",
    ),
    *("reduce speed now", "Bahnhofstrasse 7", "the quick brown fox", "Invoice 2023-0417", "περίπτερο", "no smoking"),
]
# As people type: words as they are, slips, missing accents, parts of words, other scripts, run together, inflected.
TYPED = {
    "pizzeria napoli": 0, "pizeria napoli": 0, "pizzreia": 0, "totale 24,90": 0, "grusse aus uberlingen": 1,
    "gruesse": 1, "ueberlingen": 1, "marcus aurelius": 2, "Marcus Aurelies": 2, "marcsu aurelius": 2, "meditation": 2,
    "no parking": 3, "noparking": 3, "no prking": 3, "reservation hotel": 4, "hôtel": 4, "reservaton": 4, "東京": 5,
    "都庁": 5, "дворцовая": 6, "площад": 6, "istanbul": 7, "Istambul": 7, "havalimani": 7,
    "corona": 8, "virus": 8, "coronavirsu": 8, "corona virus": 8, "lufthansa": 9, "gate b12": 9, "haltbarkeit": 10,
    "mindesthaltbarkiet": 10, "wurst": 11, "salat": 11, "ax 44921": 12, "AX-44921": 12, "serial no": 12, "교과서": 13,
    "한국어": 13, "reduced speed": 14, "speed": 14, "bahnhof": 15, "bahnhofstraße": 15, "brown fxo": 16,
    "quick brown": 16, "invoice 2023": 17, "περιπτερο": 18, "no smoking": 19, "smokin": 19,
}  # fmt: skip
SEEN = ["a circle", "a red circle", "a star", "a car", "a blue car", "an umbrella", "a cup", "a balloon", "a triangle"]
SEEN += ["a heart", "a sun", "a mountain", "a clock", "a ring", "a pink heart", "a green star", "a white cup"]
# Nothing here shows or says these; the small model knows the first few words, and none of the others.
ABSENT = ["a tree", "a pizza", "a house", "a boat", "a face", "helicopter", "boarding pass", "driving licence"]
ABSENT += ["kangaroo", "birthday cake with candles", "ski lift pass", "Führerschein", "паспорт", "運転免許証", "영수증"]
ABSENT += ["tram ticket Zürich", "swimming pool", "tax office letter", "rental contract", "gym membership"]


def written(number: int, text: str) -> Analysed:
    """A photo that holds text and was seen by no model."""
    lines = tuple(TextLine(line, 0.9, (0.0,) * 8) for line in text.split("\n"))
    outcomes = (Outcome("metadata", 1, "done", Metadata("JPEG", 40, 30)), Outcome("ocr", 1, "done", lines))
    sha256 = hashlib.sha256(f"{number}".encode()).hexdigest()
    return Analysed(FoundFile(f"/written/{number:02d}.jpg", "/written", 1, 1, 1, number), sha256, outcomes)


def write_questions(path: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("id", "type", "query", "relevant_files"))
        writer.writerows((f"d{number:03d}", *row) for number, row in enumerate(rows))


@pytest.fixture(scope="module")
def questioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shell, Path]]:
    """Drawn scenes with real vectors, texts without, and questions about both and about nothing."""
    pytest.importorskip("scenes", reason="scripts/scenes.py draws what the small model knows")
    from scenes import parse_scene, render_scene

    folder = tmp_path_factory.mktemp("questions")
    (folder / "photos").mkdir()
    for n, words in enumerate(DRAWN):
        render_scene(words, seed=n).save(folder / "photos" / f"{n:02d}.png")
    scenes = [parse_scene(words) for words in DRAWN]

    def showing(words: str) -> str:
        asked = parse_scene(words)
        fitting = (n for n, s in enumerate(scenes) if s.thing == asked.thing and asked.colour in (None, s.colour))
        return ";".join(f"photos/{n:02d}.png" for n in fitting)

    rows = [("scene", words, showing(words)) for words in SEEN]
    rows += [("text", words, f"/written/{number:02d}.jpg") for words, number in TYPED.items()]
    write_questions(folder / "questions.csv", [*rows, *(("nothing", words, "") for words in ABSENT)])
    with pytest.MonkeyPatch.context() as patch:
        run = shell(folder / "home", patch)
        install_tiny_clip(run)
        run("scan", folder / "photos", "--steps", "metadata,embedding,tags", "--profile", "tiny")
        with Library.writing(run.folder) as library:
            library.save([written(number, text) for number, text in enumerate(WRITTEN)])
            write_due_documents(library)
        yield run, folder / "questions.csv"


@pytest.fixture(scope="module")
def result(questioned: tuple[Shell, Path]) -> Any:
    run, questions = questioned
    return run("eval", questions, "--format", "json").json


def of(result: Mapping[str, Any], mode: str, kind: str) -> Any:
    return next(score for score in result["scores"] if (score["mode"], score["type"]) == (mode, kind))


def missed(result: Mapping[str, Any], mode: str, kind: str) -> list[str]:
    return [row["query"] for row in result["rows"] if (row["mode"], row["type"]) == (mode, kind) and row["recall"] != 1]


def test_texts_are_found_with_slips_parts_of_words_and_without_accents(result: Any) -> None:
    assert of(result, "keyword", "text")["recall"] >= 0.95, missed(result, "keyword", "text")
    assert of(result, "keyword", "text")["mrr"] >= 0.9


def test_scenes_are_found_by_meaning(result: Any) -> None:
    assert of(result, "semantic", "scene")["recall"] >= 0.9, missed(result, "semantic", "scene")


@pytest.mark.parametrize("kind", ["scene", "text"])
def test_both_together_are_never_worse_than_the_better_of_both(result: Any, kind: str) -> None:
    better = max(of(result, mode, kind)["ndcg"] for mode in ("keyword", "semantic"))
    assert of(result, "hybrid", kind)["ndcg"] >= better - 0.02, missed(result, "hybrid", kind)


@pytest.mark.parametrize("mode", ["keyword", "semantic", "hybrid"])
def test_questions_about_nothing_are_answered_so(result: Any, mode: str) -> None:
    claimed = [row["query"] for row in result["rows"] if row["mode"] == mode and row["empty"] is False]
    assert of(result, mode, "nothing")["empty_right"] >= 0.9, claimed


# --- the command ----------------------------------------------------------------------------------------------------


def test_a_table_for_people_with_what_changed(questioned: tuple[Shell, Path], result: Any, tmp_path: Path) -> None:
    run, questions = questioned
    before = json.loads(json.dumps(result))
    row = next(r for r in before["rows"] if (r["mode"], r["query"]) == ("keyword", "speed"))
    row["ndcg"] = 0.25
    (tmp_path / "before.json").write_text(json.dumps(before))
    arguments = ("eval", questions, "--type", "text", "--mode", "keyword", "--compare", tmp_path / "before.json")
    shown = run(*arguments).text
    assert f"(+{0.75 / len(TYPED):.3f})" in shown
    assert [line.split()[-2:] for line in shown.splitlines() if " speed " in line] == [["0.25", "1.00"]]
    assert run(*arguments, "--format", "json").json["changes"] == [
        {"id": row["id"], "mode": "keyword", "before": 0.25, "after": 1.0}
    ]


def test_wrong_use_is_said(questioned: tuple[Shell, Path], tmp_path: Path) -> None:
    run, questions = questioned
    assert "its types are: nothing, scene, text" in run("eval", questions, "--type", "ocr", code=2).err
    (tmp_path / "no.json").write_text("[1]")
    assert "no result of" in run("eval", questions, "--compare", tmp_path / "no.json", code=2).err
    assert "Cannot read" in run("eval", tmp_path / "none.csv", code=2).err
    (tmp_path / "gone.csv").write_text("query,relevant_files\nspeed,/gone.jpg\n")
    ran = run("eval", tmp_path / "gone.csv", "--mode", "keyword", "--format", "json")
    assert "1 expected files are not in this library" in ran.err
    assert ran.json["scores"][0]["recall"] == 0.0


def test_searching_and_marking_makes_questions(questioned: tuple[Shell, Path], tmp_path: Path) -> None:
    run, _ = questioned
    file = tmp_path / "mine.csv"
    typed = ["no parking", "1", "helicopter", "none", "speed", "", "quick brown", "99", "x", "1-1", ""]
    run.patch.setattr("sys.stdin", io.StringIO("\n".join(typed) + "\n"))
    ran = run("eval", "record", file)
    assert "/written/03.jpg" in ran.text
    assert "Write numbers from 1 to" in ran.err
    kept = read_questions(file)
    assert [(q.query, q.relevant) for q in kept] == [
        ("no parking", ("/written/03.jpg",)),
        ("helicopter", ()),
        ("quick brown", ("/written/16.jpg",)),
    ]
    assert run("eval", file, "--mode", "keyword", "--format", "json").json["scores"][0]["recall"] == 1.0
