"""What a process keeps of its answers, put together: log, windows, shadow.

What belongs here: which parts there are, and their start and end with the process. What does not: any of them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from include.serving.lake_sink import LakeSink
from include.serving.online_versions import OnlineVersions, look_at
from include.serving.prediction_log import PredictionLog
from include.serving.recorder import Recorder
from include.serving.shadow import Shadow
from include.serving.staging import LogLimits
from include.serving.window_writer import WindowWriter

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.monitoring.serving_windows import ServingWindow


@dataclass
class ServiceRecord:
    """What a process keeps of its answers.

    Parameters
    ----------
    log : PredictionLog
    recorder : Recorder
    windows : WindowWriter
    shadow : Shadow
    """

    log: PredictionLog
    recorder: Recorder
    windows: WindowWriter
    shadow: Shadow

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep what is noted in between; at the end, what is still in memory goes where it belongs."""
        self.log.start()
        self.windows.start()
        tasks = [asyncio.create_task(self.windows.keep_closing()), asyncio.create_task(self.shadow.look_on())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.windows.close()
            await asyncio.gather(asyncio.to_thread(self.log.stop), asyncio.to_thread(self.windows.stop))


def open_record(deployment: Deployment, models: Collection[str], *, limits: LogLimits | None = None) -> ServiceRecord:
    """Return what a process keeps of its answers by some models; nothing is written before it is `kept`."""
    # A process id is used again, and two services may be in one process.
    process = f"{socket.gethostname()}-{os.getpid()}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{token_hex(3)}"
    root = deployment.settings.home / "serving" / "log"

    def write_windows(windows: Sequence[ServingWindow]) -> None:
        # The state is opened when there is something to write: it may not be up when the process starts.
        deployment.state.record_windows(windows)

    log = PredictionLog(process, root, LakeSink(deployment.lake), OnlineVersions(look_at(deployment)), limits)
    recorder = Recorder(log, models)
    windows = WindowWriter(recorder.close_window, write_windows)
    shadow = Shadow(recorder)
    recorder.look_on = shadow.offer
    return ServiceRecord(log, recorder, windows, shadow)
