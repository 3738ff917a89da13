"""Expand --profile: sets of options under kubectl debug's names and in its sense; an option beside it wins.

What kubectl changes in a new container, an entry changes in its own process (kubectl's pkg/cmd/debug/profiles.go).
"""

from ..cli.request import Request
from ..enter.linux.capabilities import ALL, NUMBERS, names
from . import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..engine.containers import Container

NOBODY = "65534:65534"
UNCONFINED = ("seccomp=unconfined", "apparmor=unconfined", "label=disable", "no-new-privileges=false")


class Profile:
    """Hold what one profile stands for."""

    def __init__(self, text: str, *, add: int = 0, drop: int = 0, security: tuple[str, ...] = ()) -> None:
        """Take its sense for a person, the capabilities that it adds and drops, and --security-opt's words."""
        self.text = text
        self.add = add
        self.drop = drop
        self.security = security


def _of(*words: str) -> int:
    return sum(1 << NUMBERS[word] for word in words)


# kubectl's "clear the security context" means what the runtime gives by default.
PROFILES = {
    "general": Profile("the container's own, and process tracing", add=_of("SYS_PTRACE")),
    "baseline": Profile("the container's own, at most docker's default", drop=ALL & ~defaults.CAPABILITIES),
    "restricted": Profile("no capability, no new privileges, never root", drop=ALL, security=("no-new-privileges",)),
    "netadmin": Profile("the container's own, and the network's administration", add=_of("NET_ADMIN", "NET_RAW")),
    "sysadmin": Profile("every capability that you have, and no filter", security=UNCONFINED),
}


def expand(request: Request, container: "Container") -> tuple[Request, int, int]:
    """Return the request with the profile's options added, and the capabilities that it adds and drops."""
    assert request.profile
    profile = PROFILES[request.profile]
    expanded = Request.__new__(Request)
    expanded.__dict__.update(request.__dict__)
    expanded.security_opt = [*profile.security, *request.security_opt]  # later ones win
    if request.profile == "sysadmin" and request.privileged is None:
        expanded.privileged = True
    if request.profile == "restricted" and request.user is None and is_root(container, request):
        expanded.user = NOBODY
    return expanded, profile.add, profile.drop


def is_root(container: "Container", request: Request) -> bool:
    """Tell whether the command would be root by the container's own settings, or by the caller's without its files."""
    return "mnt" not in request.namespaces or container.user.partition(":")[0] in ("", "root", "0")


def words(request: Request, container: "Container") -> list[str]:
    """List the options that the profile stands for, as they could be typed."""
    expanded, add, drop = expand(request, container)
    found = ["--privileged"] if expanded.privileged and not request.privileged else []
    for option, mask in (("--cap-add", add), ("--cap-drop", drop)):
        if mask:
            found += [option, "ALL" if mask == ALL else ",".join(names(mask & ((1 << len(NUMBERS)) - 1)))]
    for word in PROFILES[request.profile or ""].security:
        found += ["--security-opt", word]
    if expanded.user != request.user:
        found += ["--user", expanded.user or ""]
    return found
