"""Text files are read in the encoding that they are written in."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvis.documents import read
from ragvis.documents.encoding import declared_encoding, decode
from ragvis.errors import BadFile

CASES = Path(__file__).parent / "cases"

# What people write, in code pages of their languages.
NOTES = {
    "Die Heizung läuft wieder. Herr Müller schickt die Rechnung über 300 €.": "cp1252",
    "Schlüssel für den Keller: grüne Kiste, zweites Fach. Größe XL passt nicht.": "mac-roman",
    "Der Zähler für das Büro wird am Donnerstag geprüft.": "cp850",
    "La chaudière a été réparée en février. Le coût s’élève à 1 200 €.": "cp1252",
    "La chaudière a été réparée. Où est la clé ?": "mac-roman",
    "A síndica informou que a manutenção não será feita antes de março.": "cp1252",
    "La niña pidió un café en el jardín. Mañana volverá.": "cp1252",
    "Il menù è già pronto, ma la città è lontana e non c'è più tempo.": "cp1252",
    "Il caffè è freddo perché la macchina è rotta.": "mac-roman",
    "De coördinator heeft één idee over de ruïne.": "cp1252",
    "Mødet begynder klokken ni. Husk nøglen til lågen på bagsiden.": "cp1252",
    "Nyckeln ligger på hyllan ovanför fönstret.": "cp1252",
    "Huolto tulee tiistaina. Lämmitys ei ole päällä.": "cp1252",
    "Møtet er flyttet til lørdag. Båten må vaskes først.": "cp1252",
    "Fundurinn verður á þriðjudag. Lykillinn er hjá nágrannanum.": "cp1252",
    "Proszę sprawdzić zużycie wody i zapłacić do końca miesiąca.": "cp1250",
    "Klucz leży w szufladzie. Żółta teczka zginęła.": "iso8859-2",
    "Prosím zavolejte údržbáře, výtah se opět zasekl.": "cp1250",
    "Přineste prosím klíče od sklepa a žebřík.": "iso8859-2",
    "A fűtés megjavult. A következő ellenőrzés októberben lesz.": "cp1250",
    "Ključ je u žutoj kutiji, a račun je plaćen.": "cp1250",
    "Şedinţa începe la nouă. Cheia este în cutia roşie.": "cp1250",
    "Насос не работает. Позвоните мастеру завтра утром.": "cp1251",
    "Счёт оплачен, ключ у соседки.": "koi8-r",
    "Отчёт о собрании лежит в синей папке.": "cp866",
    "Ліхтар не працює. Ключ лежить у шухляді.": "cp1251",
    "Ключът е в жълтата кутия. Сметката е платена.": "cp1251",
    "Η θέρμανση λειτουργεί ξανά. Το κλειδί είναι στο συρτάρι.": "cp1253",
    "Kazan yeniden çalışıyor. Anahtar mutfaktaki çekmecede, ışığı açın.": "cp1254",
    "החימום פועל שוב. המפתח נמצא במגירה.": "cp1255",
    "التدفئة تعمل مرة أخرى. المفتاح في الدرج.": "cp1256",
    "Šildymas vėl veikia. Raktas guli stalčiuje.": "cp1257",
    "Apkure atkal darbojas. Atslēga ir atvilktnē, rēķins samaksāts.": "cp1257",
    "Kütteseade töötab jälle. Võti on sahtlis, uksed on lukus.": "cp1257",
    "会议纪要\n\n付款期限是三十天。": "gb18030",
    "暖氣已經修好了。鑰匙在抽屜裡。": "cp950",
    "暖房が直りました。鍵は引き出しの中です。": "cp932",
    "会議は九時に始まります。資料を持って来てください。": "euc_jp",
    "請求書は来週送ります。": "iso2022_jp",
    "난방이 다시 작동합니다. 열쇠는 서랍에 있습니다.": "cp949",
    "ระบบทำความร้อนใช้งานได้แล้ว": "cp874",
}


@pytest.mark.parametrize(("text", "encoding"), NOTES.items())
def test_a_note_in_its_languages_code_page(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Der Schlüssel hängt", "cp1252"),
        ("20 Stück für Köln", "cp1252"),
        ("Tür zu", "cp1252"),
        ("crème brûlée", "cp1252"),
        ("El niño volvió ayer", "cp1252"),
        ("Zażółć gęślą jaźń", "cp1250"),
        ("Příliš žluťoučký kůň", "cp1250"),
        ("Привет, сосед", "cp1251"),
        ("Привет, сосед", "koi8-r"),
        ("Καλημέρα σας", "cp1253"),
        ("合同编号", "gb18030"),
    ],
)
def test_short_texts(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("word", "encoding"),
    [
        ("Zoë Brontë, paid £45", "cp1252"),
        ("Señor Núñez", "cp1252"),
        ("Łódź, Kraków", "cp1250"),
        ("Dvořák", "cp1250"),
        ("Dobrý den, pane Novotný", "iso8859-2"),
        ("Чехов", "cp1251"),
        ("Αθήνα", "cp1253"),
        ("東京の天気", "cp932"),
        ("“quoted” – and it’s done…", "cp1252"),
        ("80 °C ± 2, § 5, £45", "cp1252"),
    ],
)
def test_few_letters_of_a_code_page_in_a_long_english_text(word: str, encoding: str) -> None:
    lines = "The minutes were read and agreed by all who were there on the day.\n" * 40
    text = lines + word + "\n" + lines
    assert decode(text.encode(encoding)) == text


def test_the_cases_of_few_letters() -> None:
    minutes = read(CASES / "codepage_few" / "minutes.txt").pages[0].text
    assert "The treasurer, Zoë Brontë, paid £45." in minutes
    assert "Señor Núñez paid." in read(CASES / "codepage_few" / "declared.html").pages[0].text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("de.txt", "Herr Müller schickt die Rechnung über 300 €. Die Schlüssel liegen im Büro."),
        ("fr.txt", "La chaudière a été réparée en février. Le coût s’élève à 1 200 €."),
        ("pt.txt", "A síndica informou que a manutenção do elevador não será feita antes de março"),
        ("zh.txt", "会议记录\n\n更换锅炉"),
    ],
)
def test_the_cases_of_natural_notes(name: str, said: str) -> None:
    assert said in read(CASES / "codepage_guess" / name).pages[0].text


def test_a_line_that_is_valid_utf8_by_chance() -> None:
    rule = b"\xdb\xa1" * 30  # a line of a box in Johab
    text = "\n".join(
        [rule.decode("johab"), "이야기 멀티 윈도우에서 쓰는 방법입니다.", "다음과 같습니다."]
    )
    assert decode(text.encode("johab")) == text


def test_every_letter_comes_back_with_its_dos_box() -> None:
    text = "╔══════════╗\r\n║ Größe: 3 ║\r\n╚══════════╝\r\nGeprüft für München.\r\n\x1a"
    assert decode(text.encode("cp850")) == text


# --- UTF-8 with something broken in it ---------------------------------------------------------


def test_torn_utf8_keeps_its_text() -> None:
    text = "Ошибка насоса номер семь. " * 20
    assert decode(text.encode()[:-3] + b"\xff\xd0").startswith(text[:-4])
    assert decode(text.encode()[1:])[1:] == text[1:]
    assert decode("Größe: 5 µm, Länge: 7 µm".encode()[:-2]) == "Größe: 5 µm, Länge: 7 \ufffd"


def test_lines_of_utf8_and_of_a_code_page_in_one_file() -> None:
    utf8 = ["Änderung von Jürgen Müller", "Correção de João Gonçalves", "Plain line"]
    latin = ["Fix by François Légaré", "Geprüft: Herr Größmann"]
    data = b"\n".join([*(line.encode() for line in utf8), *(x.encode("cp1252") for x in latin)])
    assert decode(data) == "\n".join([*utf8, *latin])


def test_bytes_that_are_no_text_are_refused() -> None:
    for data in (b"\x00" * 100, bytes(range(256)) * 8, b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff"):
        with pytest.raises(BadFile, match="binary data"):
            decode(data)
    with pytest.raises(BadFile, match="no known encoding"):
        decode(bytes(range(1, 32)) + b"\x81\x8d\xff\xfe\x8f" * 9)


# --- marks, wide encodings and declarations -----------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_at_the_beginning(encoding: str) -> None:
    assert decode("Größe ☂".encode(encoding)) == "Größe ☂"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text",
    ["Pump", "Die Größe ☂ ist 5.\r\n", "Насос не работает.\n", "会议 纪要\n付款期限 是三十天。\n"],
)
def test_wide_text_without_a_mark(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="iso-8859-1">', "cp1252"),
        ("<META CHARSET=Windows-1251>", "cp1251"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=shift_jis">', "cp932"),
        ('<meta content="text/html;charset=GB2312" http-equiv=Content-Type>', "gb18030"),
        ("<?xml version='1.0' encoding='ISO-8859-2'?>", "iso8859-2"),
        ("<!-- <meta charset=koi8-r> --><meta charset='x-mac-roman'>", "mac-roman"),
        ("<meta charset=x-sjis>", "cp932"),
        ("<meta charset=ks_c_5601-1987>", "cp949"),
        ("<meta charset=latin1>", "cp1252"),
        ("<meta charset=iso-8859-9>", "cp1254"),
        ("<meta charset=utf-16>", "utf-8"),
        ("<meta charset=unicode_escape>", None),
        ("<meta charset=idna>", None),
        ("<meta charset=utf-7>", None),
        ("<meta charset=no-such>", None),
        ("<p>charset=iso-8859-2</p>", None),
    ],
)
def test_declared_encodings_by_the_labels_of_browsers(head: str, encoding: str | None) -> None:
    assert declared_encoding(head.encode()) == encoding


@pytest.mark.parametrize(
    ("charset", "encoding", "word"),
    [
        ("iso-8859-1", "cp1252", "naïve € “quoted”"),
        ("iso-8859-5", "iso8859-5", "Да"),
        ("macintosh", "mac-roman", "é"),
        ("windows-1250", "cp1250", "Ł"),
        ("shift_jis", "cp932", "鍵"),
        ("iso-8859-1", "utf-8", "Größe"),  # false declarations
        ("utf-8", "cp1252", "Die Größe passt für Müller"),
        ("iso-8859-1", "cp1251", "Насос не работает, позвоните мастеру"),
        ("no-such", "cp1252", "Größe für Müller"),
    ],
)
def test_a_pages_declared_encoding(tmp_path: Path, charset: str, encoding: str, word: str) -> None:
    file = tmp_path / "page.html"
    page = f"<html><head><meta charset='{charset}'></head><body><p>{word}</p></body></html>"
    file.write_bytes(page.encode(encoding))
    assert word in read(file).pages[0].text


def test_an_xml_declaration_and_a_wide_page(tmp_path: Path) -> None:
    file = tmp_path / "page.xhtml"
    body = "<html><body><p>Żółw, Łódź</p></body></html>"
    file.write_bytes(f"<?xml version='1.0' encoding='iso-8859-2'?>{body}".encode("iso8859-2"))
    assert "Żółw, Łódź" in read(file).pages[0].text
    file.write_bytes(f"<?xml version='1.0' encoding='utf-16'?>{body}".encode("utf-16-le"))
    assert "Żółw, Łódź" in read(file).pages[0].text


# --- properties ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        assert isinstance(decode(data), str)
    except BadFile as error:
        assert "\n" not in str(error)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00\x1b\ufeff"), max_size=80))
def test_valid_utf8_is_taken_as_such(text: str) -> None:
    assert decode(text.encode()) == text


def test_vietnamese_marks_are_joined() -> None:
    text = "Cuộc họp bắt đầu lúc chín giờ. Chìa khóa ở trong ngăn kéo."
    marked = "".join(_with_tone(c) for c in text)
    assert decode(marked.encode("cp1258")) == text


def _with_tone(character: str) -> str:
    """As Windows-1258 writes it: the tone is a character after the letter."""
    try:
        character.encode("cp1258")
    except UnicodeEncodeError:
        base, *marks = unicodedata.normalize("NFD", character)
        tones = [m for m in marks if m in "\u0300\u0301\u0303\u0309\u0323"]
        rest = [m for m in marks if m not in tones]
        return unicodedata.normalize("NFC", base + "".join(rest)) + "".join(tones)
    return character
