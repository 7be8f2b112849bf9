"""Our relational state as one object: histories, nights, publications, windows, switches, incidents, alerts, locks.

What belongs here: putting the parts together. What does not: any of them.
"""

from __future__ import annotations

from include.adapters.state.alerts import AlertTables
from include.adapters.state.decisions import DecisionTables
from include.adapters.state.histories import HistoryTables
from include.adapters.state.ledger import LedgerTable
from include.adapters.state.locks import Locks
from include.adapters.state.night_incidents import NightIncidentTable
from include.adapters.state.nights import NightTable
from include.adapters.state.publications import PublicationTable
from include.adapters.state.questions import QuestionTable
from include.adapters.state.registrations import RegistrationTable
from include.adapters.state.retraining_switch import RetrainingSwitchTable
from include.adapters.state.serving_windows import ServingWindowTable
from include.settings import Settings


class StateStoreAdapter(
    LedgerTable,
    RegistrationTable,
    HistoryTables,
    QuestionTable,
    DecisionTables,
    NightTable,
    PublicationTable,
    ServingWindowTable,
    RetrainingSwitchTable,
    NightIncidentTable,
    AlertTables,
    Locks,
):
    """The state database, whole."""

    @classmethod
    def from_settings(cls, settings: Settings) -> StateStoreAdapter:
        """Return the deployment's state."""
        return cls(settings.database_url)
