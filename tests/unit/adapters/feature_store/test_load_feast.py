"""Feast as tasks load it: without checks that it compiles into its own classes, and with typeguard as it was."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import typeguard
checked = typeguard.typechecked
from include.adapters.feature_store.load_feast import load_feast
load_feast()
load_feast()
import feast
assert typeguard.typechecked is checked
print(feast.Entity(name=3, value_type=feast.ValueType.STRING).name)
"""


def test_nothing_is_compiled_into_feast_and_typeguard_is_left_as_it_was():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=False, timeout=60)
    # With the checks a name that is no text would be refused.
    assert done.stdout == "3\n", done.stderr
