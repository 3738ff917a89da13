"""Hold all that is known before something happens: the request, what docker says, the route, the Plan."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cli.request import Request
    from ..engine.containers import Container
    from ..engine.endpoints import Endpoint
    from ..enter.plan import Plan


class Planned:
    """Carry a Plan with what a helper, or an explanation, needs besides."""

    def __init__(
        self, request: "Request", container: "Container", endpoint: "Endpoint | None", plan: "Plan", why: str
    ) -> None:
        """Take what was found; `why` says why the route is the Plan's, `endpoint` is None where no engine was asked."""
        self.request = request
        self.container = container
        self.endpoint = endpoint
        self.plan = plan
        self.why = why
