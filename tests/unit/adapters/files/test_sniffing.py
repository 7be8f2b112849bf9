"""A file that is written in another way is refused with its cause, and with the option that reads it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from include.adapters.files import text_bytes
from include.adapters.files.sniffing import sniff_dialect
from include.adapters.files.tabular import local_file
from include.adapters.files.whole import read_rows
from include.adapters.sources.source_files import read_source
from include.errors import UnreadableInputError
from include.quality.formats import Family, FileColumn
from include.specs.dialect import Dialect

COLUMNS = (FileColumn("größe", Family.NUMBER, required=True), FileColumn("note", Family.TEXT, required=False))
ROWS = [["größe", "note"], ["1", "für, alle"], ["2", "a; b"], ["3", "x"]]


def written(folder: Path, delimiter: str, encoding: str, rows: list[list[str]] = ROWS) -> Path:
    path = folder / "rows.csv"
    text = "".join(delimiter.join(f'"{v}"' if delimiter in v else v for v in row) + "\n" for row in rows)
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_is_guessed_reads_the_file_and_what_is_refused_names_it(tmp_path, delimiter, encoding):
    file = local_file(written(tmp_path, delimiter, encoding))
    guessed = sniff_dialect(file)
    assert read_source(file, COLUMNS, dialect=guessed).to_pydict() == {
        "größe": [1.0, 2.0, 3.0],
        "note": ["für, alle", "a; b", "x"],
    }
    if guessed == Dialect():
        return
    with pytest.raises(UnreadableInputError) as caught:
        read_source(file, COLUMNS)
    assert caught.value.exit_code == 2
    named = delimiter.replace("\t", "\\t")
    assert (f'(delimiter: "{named}")' in str(caught.value)) == (guessed.delimiter is not None)
    assert (f"(encoding: {guessed.encoding})" in str(caught.value)) == (guessed.encoding != "utf-8")


@pytest.mark.parametrize("written_in", ["utf-8", "latin-1", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("read_as", ["utf-8", "ascii", "utf-16", "utf-16-be", "utf-32"])
def test_a_file_in_another_encoding_than_its_source_says_is_told_the_one_that_it_has(tmp_path, written_in, read_as):
    file = local_file(written(tmp_path, ",", written_in))
    if read_as == written_in:
        return
    with pytest.raises(UnreadableInputError) as caught:
        read_source(file, COLUMNS, dialect=Dialect(encoding=read_as))
    assert f"(encoding: {written_in})" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "shift_jis"])
def test_a_text_that_ends_within_a_character_is_refused_by_its_row(tmp_path, encoding):
    path = written(tmp_path, ",", encoding, [["a", "b"], ["x", "テスト"]])
    path.write_bytes(path.read_bytes().removesuffix("\n".encode(encoding.removesuffix("-be")))[:-1])
    with pytest.raises(UnreadableInputError, match=rf"data row 1 \(line 2\): a byte that is not {encoding}"):
        read_source(local_file(path), [FileColumn("a", Family.TEXT, required=True)], dialect=Dialect(encoding=encoding))


def test_signs_of_windows_are_told_from_latin(tmp_path):
    path = written(tmp_path, ",", "cp1252", [["größe", "note"], ["1", "10 €"]])
    assert sniff_dialect(local_file(path)).encoding == "cp1252"


def test_a_letter_far_behind_tells_the_encoding_too(tmp_path, monkeypatch):
    monkeypatch.setattr(text_bytes, "BLOCK_BYTES", 64)
    path = written(tmp_path, ",", "utf-8", [["size", "note"], *[["1", "plain"]] * 50])
    with path.open("ab") as file:
        file.write("2,für\n".encode("latin-1"))
    with pytest.raises(UnreadableInputError, match=r"data row 51 \(line 52\).*looks like text in latin-1"):
        read_rows(local_file(path))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_who_has_an_option_is_told_which_command_writes_it(tmp_path, encoding):
    path = written(tmp_path, ",", encoding, [["größe", "note"], ["1", "€" if encoding == "cp1252" else "ä"]])
    told = rf"looks like text in {encoding}: name that in a format \(encoding: {encoding}\), .*mlops sources new NAME"
    with pytest.raises(UnreadableInputError, match=told):
        read_source(local_file(path), [FileColumn("note", Family.TEXT, required=True)])


def test_an_encoding_that_would_not_read_the_file_either_is_not_named(tmp_path):
    (tmp_path / "rows.csv").write_bytes("größe,note\n1,ä".encode() + b"\x81\n")
    with pytest.raises(UnreadableInputError, match="a byte that is not utf-8") as caught:
        read_source(local_file(tmp_path / "rows.csv"), [FileColumn("note", Family.TEXT, required=True)])
    assert "looks like" not in str(caught.value)


def test_who_has_no_option_is_told_how_to_write_the_file(tmp_path):
    with pytest.raises(UnreadableInputError, match=r"write it in utf-8, write ',' there") as caught:
        read_rows(local_file(written(tmp_path, ";", "latin-1")))
    assert "delimiter:" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (gzip.compress(b"a,b\n1,2\n"), r"compressed by gzip: let its name end in \.gz"),
        (b"PK\x03\x04 and more", "a spreadsheet or a zip archive"),
        (b"PAR1 and more", "is a parquet file"),
        (b"sep=;\na;b\n1;2\n", "remove that line"),
    ],
)
def test_a_file_that_is_no_text_is_told_what_it_is(tmp_path, content, cause):
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(UnreadableInputError, match=cause):
        read_source(local_file(tmp_path / "rows.csv"), COLUMNS)


def test_a_fault_that_has_another_cause_is_told_as_it_is(tmp_path):
    path = written(tmp_path, ",", "utf-8", [["größe", "note"], ["1", "x"], ["2"]])
    with pytest.raises(UnreadableInputError) as caught:
        read_source(local_file(path), COLUMNS)
    assert "looks like" not in str(caught.value)
    assert "separated" not in str(caught.value)
