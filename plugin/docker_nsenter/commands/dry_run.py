"""Show what would happen, beside docker exec and raw nsenter, and enter nothing: --dry-run."""

import posix

from ..enter.errors import EntryError
from ..errors import CliError, again
from ..formatting import output
from ..planning import explain
from ..planning.planned import Planned
from ..routes import local
from .enter import callers_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..enter.plan import Plan
    from .restrictions import Restrictions


def show(planned: Planned) -> int:
    """Explain the Plan and enter nothing."""
    request, container, plan = planned.request, planned.container, planned.plan
    circumstances = explain.Circumstances(callers_environment(), stdin_tty=posix.isatty(0), stdout_tty=posix.isatty(1))
    found = _as_root(plan) if plan["route"] == "local" else None
    by_exec = _as_root(circumstances.plan(explain.exec_request(request), container)) if found else None
    shown = explain.explanation(request, container, plan, circumstances, found, by_exec, planned.why)
    as_json = request.format == "json"
    return output.show(shown, "explanation", as_json=as_json, verbose=request.verbose, one_line=request.several)


def _as_root(plan: "Plan") -> "Restrictions | None":
    """Read what an entry would find; None without root, which it needs."""
    if not local.become_root(plan["target"]["pid"]):
        return None
    from .foreseen import preview

    try:
        return preview(plan)
    except EntryError as refusal:
        raise CliError(
            refusal.sentence, refusal.hint or (again(**refusal.change) if refusal.change else ""), refusal.status
        ) from refusal
    except OSError as problem:
        raise CliError(f"cannot read the process: {problem.filename or ''}: {problem.strerror}") from problem
