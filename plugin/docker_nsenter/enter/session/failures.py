"""Word why the command does not start, of what a child says: that is only shown, and nobody holds power any more."""

import posix
from _signal import SIGALRM

from .. import hints
from ..channel import number
from ..errors import CANNOT_BE, CHANGES, EXEC, UNCONFINED, EntryError, printable
from ..target import ended
from .status import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..hints import Change
    from ..plan import Plan
    from .run import Report

NOT_FOUND = 127
TOOLS: "Change" = {"add": ["--tools", "host"]}
# Of the copy of a seccomp filter: what a person can do something about, by its errno
COPY, ESRCH, ETIMEDOUT = "copy the container's seccomp filter", 3, 110
COPYING = {
    1: "another tracer (strace, gdb) holds the container's first process, or CAP_SYS_PTRACE is missing",
    13: "this process runs under a seccomp filter itself, or lacks CAP_SYS_ADMIN",
    16: "the container's first process waits in vfork or for a device, and no other thread has its filters",
    22: "this kernel cannot hand filters out (CONFIG_CHECKPOINT_RESTORE)",
    ETIMEDOUT: "the container's first process did not stop within 10 seconds",
}


def explain(report: "Report", labels: dict[str, list[str]], plan: "Plan", status: int = 0) -> EntryError:
    """Word a child's report, or its end with a wait status: the step's label is ours, by role and number."""
    return hints.word(_told(report, labels, plan) if report[0] else _died(plan, status), plan["typed"])


def _died(plan: "Plan", status: int) -> EntryError:
    """Word the end of a process that said nothing."""
    if posix.WIFSIGNALED(status) and posix.WTERMSIG(status) == SIGALRM:
        return _failed(COPY, ETIMEDOUT, "ptrace", plan)
    return EntryError(f"a process of docker nsenter was killed ({describe(status)}) before the command could start")


def _told(report: "Report", labels: dict[str, list[str]], plan: "Plan") -> EntryError:
    word, (role, _, rest) = report[0], report[1].partition(" ")
    text, _, detail = rest.partition(" ")
    code, _, call = detail.partition(" ")
    if word == "F" and role == "execve" and number(text) in (126, NOT_FOUND):
        return _not_run(number(text), call, plan)
    if role not in labels or not 0 <= number(text) < len(labels[role]):
        return EntryError(CANNOT_BE)
    if word == "W":
        change = CHANGES[number(code)] if number(code) in range(len(CHANGES)) else {}
        return EntryError(printable(call), change)
    return _failed(labels[role][number(text)], number(code), printable(call), plan)


def _failed(label: str, errno: int, call: str, plan: "Plan") -> EntryError:
    """Word a step that the kernel has refused."""
    reason = posix.strerror(errno) if errno >= 0 else "unknown error"
    if label != COPY:
        return EntryError(f"cannot {label}: {call}: {reason}")
    if errno == ESRCH:
        return ended()
    change = EXEC if plan["target"]["container"] else UNCONFINED
    return EntryError(f"cannot {label}: {call}: {COPYING.get(errno, reason)}", change)


def _not_run(status: int, reason: str, plan: "Plan") -> EntryError:
    """Say which command could not be executed, and what that means to who typed it."""
    if not plan["command"] and not plan["shell"] and status == NOT_FOUND:
        change: Change = {} if plan["tools"] else TOOLS
        return EntryError("cannot run a shell: the container has none (no bash, ash or sh)", change, status)
    word = (plan["command"] or [plan["shell"] or "the shell"])[0]
    name = printable(word)
    if not word:
        return EntryError("cannot run the command: its name is empty", status=status)
    if status == NOT_FOUND and len(plan["command"]) == 1 and len(word.split()) > 1:
        sentence = f"cannot run '{name}': that is the name of one program, with blanks in it"
        plain = hints.PLAIN.issuperset(word.replace(" ", ""))
        return EntryError(sentence, {"command": word.split() if plain else ["sh", "-c", word]}, status)
    if status == NOT_FOUND and "/" not in name:
        change = TOOLS if _is_here(name, plan) else {}
        return EntryError(f"cannot run {name}: no such program on the PATH", change, status)
    return EntryError(f"cannot run {name}: {printable(reason)}", status=status)


def _is_here(name: str, plan: "Plan") -> bool:
    """Tell whether --tools host would find a program."""
    here = any(posix.access(f"{folder}/{name}", posix.X_OK) for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"))
    return here and not plan["tools"] and "mnt" in plan["namespaces"]
