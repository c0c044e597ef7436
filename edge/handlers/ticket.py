"""`GET /kafka-ws/v1/ticket`: a token in the header becomes a ticket for one WebSocket (behaviour, section 1)."""

from http import HTTPStatus

from edge.errors import RefusedError
from edge.handlers.base import BaseHandler


class TicketHandler(BaseHandler):
    """Issues tickets."""

    endpoint = "ticket"

    async def get(self) -> None:
        """Asks the ticket service; HEAD likewise, without the body."""
        self.set_header("Cache-Control", "no-store")
        if self.edge.is_draining:
            # A ticket is as good at another edge.
            self.set_header("Connection", "close")
        try:
            async with self.edge.limiter.place():
                ticket = await self.edge.tickets.issue(self.request.headers.get("Authorization", ""))
        except RefusedError as refused:
            self.refuse(refused)
        else:
            self.send_json(HTTPStatus.OK, {"ticket": ticket})

    head = get
