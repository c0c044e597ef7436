"""`/healthz`: the process lives. `/readyz`: it can serve clients, and if not, what is missing. For orchestrators."""

from http import HTTPStatus

from edge.handlers.base import BaseHandler


class AliveHandler(BaseHandler):
    """200 as long as the event loop turns."""

    endpoint = "healthz"

    def get(self) -> None:
        """Answers."""
        self.set_header("Cache-Control", "no-store")
        self.send_json(HTTPStatus.OK, {"status": "alive"})

    head = get


class ReadyHandler(BaseHandler):
    """200 or 503, with the state of each dependency."""

    endpoint = "readyz"

    def get(self) -> None:
        """Answers."""
        edge = self.edge
        status = HTTPStatus.OK if edge.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        self.set_header("Cache-Control", "no-store")
        self.send_json(
            status,
            {
                "status": "ready" if edge.is_ready else "draining" if edge.is_draining else "unavailable",
                "dependencies": {
                    "filter_service": "ready" if edge.filter_client.is_ready else "unavailable",
                    "ticket_service": "ready" if edge.tickets.is_ready else "unavailable",
                },
            },
        )

    head = get
