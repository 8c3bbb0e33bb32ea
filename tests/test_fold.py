"""Words of many scripts as they are compared: what people type meets what stands in the picture."""

# ruff: noqa: RUF001 (letters that look alike are the subject)

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoindex.pure.fold import document, fold, tokens


def meets(query: str, text: str) -> bool:
    """What an index that splits at white space and asks for all words answers."""
    return set(tokens(query)) <= set(document(text).split())


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("istanbul", "İstanbul"),
        ("ISTANBUL", "ıstanbul"),
        ("İSTANBUL", "Istanbul'da"),
        ("kahve dukkani", "KAHVE DÜKKÂNI"),
        ("strasse", "Straße"),
        ("STRASSE", "Hauptstr. und Große Straße 5"),
        ("munchen", "MÜNCHEN"),
        ("οδος", "ΟΔΌΣ"),
        ("Σίσυφος", "ΣΙΣΥΦΟΣ"),
        ("елка", "Ёлка"),
        ("славянские языки", "СЛАВЯНСКИЕ ЯЗЫКИ"),
        ("cafe creme", "Café crème"),
        ("lodz", "Łódź"),
        ("smorrebrod", "Smørrebrød"),
        ("fine", "\ufb01ne"),
        ("full 12", "ｆｕｌｌ　１２"),
        ("hawaii", "Hawaiʻi"),
        ("محمد", "مُحَمَّد"),
        ("مكتبة", "مكتبه"),
        ("کتاب", "كتاب"),
        ("٢٠٢٣", "2023"),
        ("שלום", "שָׁלוֹם"),
        ("हिन्दी", "यह हिन्दी है"),
        ("中国", "我是中国人"),
        ("猫", "黒い子猫"),
        ("東京都", "東京都庁へようこそ"),
        ("ガス", "ｶﾞｽ料金"),
        ("ラーメン", "味噌ラーメン屋"),
        ("5月", "2023年5月3日"),
        ("서울", "서울특별시"),
        ("특별시", "서울특별시"),
        ("กรุงเทพ", "ยินดีต้อนรับสู่กรุงเทพมหานคร"),
        ("pizza receipt", "Pizza_Receipts-01.jpg"),
    ],
)
def test_a_query_meets_its_text_in_any_spelling(query: str, text: str) -> None:
    assert meets(query, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("カス", "ガス"),
        ("京東", "東京都"),
        ("ขาว", "ข่าว"),
        ("कल", "काल"),
        ("שלום", "של"),
        ("pizza", "pizzeria"),
        ("win", "wine"),
        ("car", "care"),
        ("new", "news"),
        ("pas", "pass"),
        ("vale", "valse"),
    ],
)
def test_other_words_stay_other_words(query: str, text: str) -> None:
    assert not meets(query, text)


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("receipt", "receipts"),
        ("photo", "photos"),
        ("city", "cities"),
        ("movie", "movies"),
        ("pie", "pies"),
        ("key", "keys"),
        ("box", "boxes"),
        ("church", "churches"),
        ("dish", "dishes"),
        ("glass", "glasses"),
        ("bus", "buses"),
        ("lens", "lenses"),
        ("house", "houses"),
        ("rose", "roses"),
        ("nurse", "nurses"),
        ("shoe", "shoes"),
        ("tomato", "tomatoes"),
        ("cache", "caches"),
        ("canvas", "canvases"),
        ("tree", "trees"),
        ("café", "cafés"),
    ],
)
def test_english_plurals_meet_their_singular(one: str, many: str) -> None:
    assert tokens(one) == tokens(many)


def test_different_common_words_keep_different_stems() -> None:
    words = """bar bare bars bath bathe beach bass base bus business cap cape car care cat cash case class clothes cloth
    dog door dress eye face fish flower food glass grass hat hate house horse hose ice iris kiss lake lens man map
    menu mess news nose note not office page park pass paste pine pin plan plane plate rose row sea see ship shop
    shoe show sign sky snow star station status sun tax taxi tennis this train tree tub tube virus wave win wine"""
    stems: dict[str, set[str]] = {}
    for word in words.split():
        stems.setdefault(tokens(word)[0], set()).add(word)
    assert [group for group in stems.values() if len(group) > 1] == [{"bar", "bars"}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IMG_2023-05.jpg", ["img", "2023", "05", "jpg"]),
        ("A4", ["a4"]),
        ("12.50 €", ["12", "50"]),
        ("don't", ["don", "t"]),
        ("Brand\u2122 re\u00adceipt \u200fabc", ["brand", "receipt", "abc"]),
        ("東京都", ["東京", "京都"]),
        ("2023年5月", ["2023", "年", "5", "月"]),
        ("Sony製カメラ", ["sony", "製カ", "カメ", "メラ"]),
        ("한글", ["한글"]),
        ("… — !?", []),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("12.50", "Total 12,50 EUR"),
        ("1250", "1,250 USD"),
        ("2023-05", "2023/05/17"),
        ("20230517", "2023-05-17"),
        ("02788852022", "Tel. 027-88852022"),
        ("wifi", "Wi-Fi"),
        ("joes", "Joe's Diner"),
        ("dont", "Don’t walk"),
        ("receipt", "PizzaReceipt2023.jpg"),
        ("2023", "PizzaReceipt2023.jpg"),
        ("html parser", "HTMLParser"),
        ("56km", "Seoul 56 km"),
        ("56 km", "Seoul 56km"),
        ("iphone12", "iPhone 12 Pro"),
        ("img 1234", "IMG1234.HEIC"),
        ("a4", "Format A4"),
    ],
)
def test_prices_dates_and_file_names_are_found_however_they_are_typed(query: str, text: str) -> None:
    assert meets(query, text)


def test_other_ways_stand_after_the_words_so_that_phrases_stay_whole() -> None:
    assert document("Wi-Fi in PizzaHut 2").split()[:5] == ["wi", "fi", "in", "pizzahut", "2"]


WRITING = st.text(
    st.sampled_from("aAbsSeEiİıIßéÉxyz  _-.,'’0125٢ΣσςάЁйשָׁלםمُحةأ東京猫がガﾞｶー서울ᄒกุ่ำहिन्\u200d\u00ad™ﬁＡ🍕\n"),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(WRITING)
def test_every_word_of_a_text_finds_the_text(text: str) -> None:
    assert all(meets(word, text) for word in text.split())
    assert meets(text, text)


@settings(max_examples=300, deadline=None)
@given(WRITING)
def test_composed_and_decomposed_writing_are_the_same(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


@settings(max_examples=300, deadline=None)
@given(WRITING)
def test_folding_again_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert set(tokens(text)) <= set(document(document(text)).split())


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_at_all_gives_plain_words(text: str) -> None:
    assert {unicodedata.category(char)[0] for char in document(text).replace(" ", "")} <= set("LMN")
