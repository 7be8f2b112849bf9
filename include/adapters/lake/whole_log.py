"""A lake table's log, kept whole: what makes every version readable.

What belongs here: the table properties that keep it. What does not: the files of old versions (``history``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltalake import DeltaTable

# By default Delta drops log entries that are older than 30 days, and with them the versions that training sets pin.
WHOLE_LOG = {"delta.logRetentionDuration": "interval 36600 days", "delta.enableExpiredLogCleanup": "false"}


def keep_log(delta: DeltaTable) -> bool:
    """Have a table keep its log, by a commit of its own where it was made without that; say whether it was."""
    known = delta.metadata().configuration
    if all(known.get(name) == value for name, value in WHOLE_LOG.items()):
        return False
    delta.alter.set_table_properties(WHOLE_LOG)
    return True
