"""Show a Plan to a person: what would be joined, taken on and run."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .enter.capabilities import ALL, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .enter.accept import Plan


def show(plan: "Plan", facts: "dict[str, str] | None") -> None:
    """Print the Plan as a table; `facts` are what the kernel says of the process, where it may be asked."""
    console = Console(highlight=False)
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    table.add_column("restriction", no_wrap=True)
    table.add_column("you would get")
    for name, value in rows(plan, facts).items():
        table.add_row(Text(name, style="cyan"), Text(value))
    console.print(Text(f"docker nsenter would enter {plan['target']['name']} by the local route; nothing was entered."))
    console.print()
    console.print(table)
    if facts is None:
        console.print("\nhint: sudo shows the numbers that only root may read", markup=False)


def rows(plan: "Plan", facts: "dict[str, str] | None") -> dict[str, str]:
    """List the table's rows: the kernel's facts where they are known, the Plan's words elsewhere."""
    shown = {} if facts is None else {name: value for name, value in facts.items() if value}
    if facts is None:
        shown["namespaces"] = " ".join(plan["namespaces"])
        shown["capabilities"] = _capabilities(plan)
        shown["seccomp"] = plan["seccomp"]
        shown["user"] = "yours" if plan["user"] is None else plan["user"] or "root"
    shown["directory"] = plan["directory"] or "where you are"
    shown["terminal"] = "one of the container's" if plan["tty"] else "none"
    if plan["mounts"]:
        shown["mounted afresh"] = " ".join(f"/{name}" for name in plan["mounts"])
    shown["command"] = " ".join(plan["command"]) or plan["shell"] or "the user's shell, or bash, ash, sh"
    return shown


def _capabilities(plan: "Plan") -> str:
    """Put the planned capabilities in words."""
    planned = plan["capabilities"]
    base = "all that the caller has" if planned["base"] == "caller" else "the container's"
    words = {"plus": planned["add"], "without": planned["drop"]}
    parts = [f"{word} {'ALL' if mask == ALL else ' '.join(names(mask))}" for word, mask in words.items() if mask]
    return ", ".join([base, *parts])
