"""Watches the ticket store and reports its health. One task on the event loop, for the life of the service."""

import asyncio
from collections.abc import Callable

import structlog

from ticket_service import metrics
from ticket_service.errors import StoreUnavailableError
from ticket_service.store import TicketStore

log = structlog.get_logger(__name__)

PROBE_INTERVAL_SEC = 1.0
"""Health checks come every few seconds; a shorter interval would tell them nothing sooner."""


async def watch(store: TicketStore, report: Callable[[bool], object]) -> None:
    """Probes the store until cancelled; calls `report` with whether it works, first and at each change."""
    working: bool | None = None
    while True:
        try:
            await store.probe()
        except StoreUnavailableError as error:
            now_working, reason = False, str(error)
        else:
            now_working, reason = True, ""
        if now_working != working:
            working = now_working
            metrics.STORE_UP.set(working)
            report(working)
            if working:
                log.info("ticket store answers")
            else:
                log.warning("ticket store is away", reason=reason)
        await asyncio.sleep(PROBE_INTERVAL_SEC)
