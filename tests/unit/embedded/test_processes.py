"""What the processes of a home write."""

from __future__ import annotations

import os
import stat
import sys

from include.embedded.processes import ProcessTable


def test_what_a_part_writes_is_its_owners_alone(tmp_path):
    table = ProcessTable(tmp_path)
    table.log("api-server").parent.mkdir()
    table.log("api-server").touch(mode=0o644)
    script = "open('made', 'w').close(); import os; os.mkdir('folder')"
    table.spawn("api-server", [sys.executable, "-S", "-c", script], dict(os.environ)).wait(30)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in table.home.rglob("*")}
    assert modes["made"] == modes["api-server.log"] == modes["processes.json"] == 0o600
    assert modes["folder"] == 0o700
