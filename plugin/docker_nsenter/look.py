"""Look, don't enter: show the running containers, one of them, or what an entry would be."""

import os
import sys

from . import overview, stage1
from .engine import containers, endpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .cli.request import Request


def show_listing(request: "Request", options: "endpoints.Globals") -> int:
    """Show all running containers, or everything about one."""
    from .commands import list
    from .engine import running

    if request.container.startswith("pid:"):
        return _show(request, list.card(containers.process(request.container), [], local=True), "card")
    endpoint = endpoints.endpoint(options, os.environ)
    local = containers.is_local(endpoint)
    if not local:
        stage1.add_packages()  # the docker SDK
    if not request.container:
        return _show(request, list.listing(running.running(endpoint), local=local), "listing")
    container = containers.find(endpoint, request.container, paused_ok=True)
    return _show(request, list.card(container, running.running(endpoint), local=local), "card")


def explain(planned: "stage1.Planned") -> int:
    """Explain the Plan and enter nothing."""
    request, container, plan = planned.request, planned.container, planned.plan
    from .planning import explain as explaining
    from .routes.local import survey

    circumstances = explaining.Circumstances(
        stage1.callers_environment(), stdin_tty=os.isatty(0), stdout_tty=os.isatty(1)
    )
    found = survey(plan) if plan["route"] == "local" else None
    by_exec = survey(circumstances.plan(explaining.exec_request(request), container)) if found else None
    shown = explaining.explanation(request, container, plan, circumstances, found, by_exec, planned.why)
    return _show(request, shown, "explanation")


def _show(request: "Request", found: "dict[str, Any]", kind: str) -> int:
    """Print as JSON, or as a table."""
    if request.format == "json":
        import json

        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    text = overview.drawn(found) if kind == "listing" else None
    if text is not None:
        sys.stdout.write(text)
        return 0
    stage1.add_packages()
    from .formatting import tables

    show = {"listing": tables.show_listing, "card": tables.show_card, "explanation": tables.show_explanation}
    show[kind](found)
    return 0
