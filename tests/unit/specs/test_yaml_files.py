"""A file that can't be used is a SpecError that names it, whatever is wrong with it; nothing in one is taken unseen."""

from __future__ import annotations

import pytest

from include.errors import SpecError
from include.specs.yaml_files import read_yaml


def write(tmp_path, content):
    path = tmp_path / "churn.yaml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"owner: \xe4\xf6", "churn.yaml can't be read: .*utf-8", id="Latin-1"),
        pytest.param(b"\xff\xfea\x00", "churn.yaml can't be read: .*utf-8", id="UTF-16"),
        pytest.param(b"a: \x00", "churn.yaml is not YAML: .*#x0000", id="a zero byte"),
        *(
            pytest.param(text, r"churn.yaml is not YAML: .*\\x00.* holds a zero byte; leave it out.* line 1", id=name)
            for name, text in {
                "a zero byte by its name": b'owner: "a\\0b"',
                "one as a key": b'"a\\x00": b',
                "one in a list": b'a: ["\\u0000"]',
                "one that is named later": b'a: &it "\\0"\nb: *it',
            }.items()
        ),
        pytest.param(b"gates: [", 'churn.yaml is not YAML: .*in "churn.yaml", line 1', id="not closed"),
        pytest.param(b"a:\n\tb: 1", 'churn.yaml is not YAML: .*in "churn.yaml", line 2', id="a tab"),
        pytest.param(b"a: !!python/name:os.system", "churn.yaml is not YAML: ", id="Python"),
        pytest.param(b"", "churn.yaml must be a mapping of keys to values, found NoneType", id="empty"),
        pytest.param(b"- a", "churn.yaml must be a mapping of keys to values, found list", id="a list"),
        pytest.param(b"1: a", "churn.yaml is not YAML: .*key 1 is no text", id="a number as key"),
        pytest.param(b"on: a", "churn.yaml is not YAML: .*key True is no text; write it in quotes", id="on as key"),
        pytest.param(b"a:\n  2011-01-01: b", "churn.yaml is not YAML: .*no text.* line 2", id="a date as inner key"),
        pytest.param(b"? [a]\n: b", "churn.yaml is not YAML: .*no text", id="a list as key"),
        pytest.param(b"a: 1\na: 2", "churn.yaml is not YAML: .*key 'a' is there twice.* line 2", id="a key twice"),
        pytest.param(b"g: {a: 1, b: 2, a: 1}", "churn.yaml is not YAML: .*'a' is there twice", id="inner key twice"),
        pytest.param(b"a: 1\nb: 2026-13-45", "churn.yaml is not YAML: .*'2026-13-45' can't.* line 2", id="no month"),
        pytest.param(b"b: 2026-01-01T99:00:00", "churn.yaml is not YAML: .*hour must be in", id="no hour"),
        pytest.param(b"b: [!!int abc]", "churn.yaml is not YAML: .*'abc' can't be taken", id="no int"),
        pytest.param(b"b: !!bool abc", "churn.yaml is not YAML: .*'abc' can't be taken", id="no bool"),
        pytest.param(b"b: !!timestamp abc", "churn.yaml is not YAML: .*'abc' can't be taken", id="no timestamp"),
        pytest.param(b"b: " + b"9" * 5000, "churn.yaml is not YAML: .*can't be taken", id="too many digits"),
        pytest.param(b"b: " + b"[" * 3000, "churn.yaml is not YAML: .*recursion", id="too deep"),
    ],
)
def test_what_can_not_be_taken_whole_is_refused(tmp_path, content, message):
    with pytest.raises(SpecError, match=message):
        read_yaml(write(tmp_path, content))


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "churn.yaml").mkdir()
    with pytest.raises(SpecError, match=r"churn.yaml can't be read: Is a directory"):
        read_yaml(tmp_path / "churn.yaml")


def test_a_link_to_nowhere_can_not_be_read(tmp_path):
    (tmp_path / "churn.yaml").symlink_to(tmp_path / "absent")
    with pytest.raises(SpecError, match=r"churn\.yaml can't be read: No such file"):
        read_yaml(tmp_path / "churn.yaml")


def test_values_that_are_said_once_and_used_twice_are_read(tmp_path):
    path = write(tmp_path, b"a: &bounds {min: 0}\nb: {<<: *bounds, max: 1}\nc: *bounds\n")
    assert read_yaml(path) == {"a": {"min": 0}, "b": {"min": 0, "max": 1}, "c": {"min": 0}}
