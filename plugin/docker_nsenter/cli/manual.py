"""Generated from cli/options.py by scripts/generate-grammar; a test holds it current."""

# fmt: off
USAGE = "docker nsenter [OPTIONS] CONTAINER [COMMAND [ARG...]]"
SUMMARY: list[str] = [
    "Enter a running container's namespaces, with exactly its own restrictions.",
    "CONTAINER is a name, an ID prefix, a compose service ([PROJECT/]SERVICE[/N]), a swarm task (SERVICE[.SLOT]), or pid:N (a process on this machine, without an engine). COMMAND defaults to a shell of the container. Options stop at CONTAINER.",
]
EXAMPLES: list[tuple[str, str]] = [
    ("docker nsenter web", "a shell, as restricted as the container's own processes"),
    ("docker nsenter --net-only web ss -tlnp", "this machine's tools in the container's network"),
    ("docker nsenter --cap-add SYS_PTRACE web strace -p 1", "one capability more, knowingly"),
    ("docker nsenter --dry-run web", "what would happen; enters nothing"),
]
STATUSES: list[tuple[str, str]] = [
    ("0-255", "the command's own exit status"),
    ("128+n", "signal n ended the command"),
    ("125", "nothing was run: usage, engine, or a restriction that can't be put in place"),
    ("126", "the command can't be executed"),
    ("127", "the command is not found"),
]
# (panel, its options: spellings with the letters first, placeholder of the value, text)
PANELS: list[tuple[str, list[tuple[tuple[str, ...], str, str]]]] = [
    ("Namespaces (default: all of the container's)", [
        (("-a", "--all"), "", "All of them (the default)"),
        (("--userns",), "", "The user and group ids"),
        (("--no-userns",), "", "All but the user and group ids"),
        (("--userns-only",), "", "The user and group ids, alone"),
        (("--mount",), "", "The files"),
        (("--no-mount",), "", "All but the files"),
        (("--mount-only",), "", "The files, alone"),
        (("--uts",), "", "The host name"),
        (("--no-uts",), "", "All but the host name"),
        (("--uts-only",), "", "The host name, alone"),
        (("--ipc",), "", "Shared memory and message queues"),
        (("--no-ipc",), "", "All but shared memory and message queues"),
        (("--ipc-only",), "", "Shared memory and message queues, alone"),
        (("--net", "--network"), "", "The network (interfaces, ports, routes)"),
        (("--no-net", "--no-network"), "", "All but the network (interfaces, ports, routes)"),
        (("--net-only", "--network-only"), "", "The network (interfaces, ports, routes), alone"),
        (("--pid",), "", "The processes"),
        (("--no-pid",), "", "All but the processes"),
        (("--pid-only",), "", "The processes, alone"),
        (("--cgroup", "--cgroupns"), "", "The view of the control groups"),
        (("--no-cgroup", "--no-cgroupns"), "", "All but the view of the control groups"),
        (("--cgroup-only", "--cgroupns-only"), "", "The view of the control groups, alone"),
        (("--time",), "", "The clocks that count from the start"),
        (("--no-time",), "", "All but the clocks that count from the start"),
        (("--time-only",), "", "The clocks that count from the start, alone"),
    ]),
    ("Restrictions", [
        (("--privileged", "--drop-caps"), "", "Keep the capabilities the caller has / the container's only (default)"),
        (("--cap-add",), "CAP", "Add a capability (SYS_PTRACE, ALL)"),
        (("--cap-drop",), "CAP", "Drop a capability"),
        (("--security-opt",), "OPT", "seccomp=unconfined, apparmor=unconfined|PROFILE, label=disable, no-new-privileges[=BOOL]"),
        (("--profile",), "general|baseline|restricted|netadmin|sysadmin", "Begin with a set of options, as kubectl debug names them; options beside it win"),
        (("--join-cgroup", "--no-join-cgroup"), "", "Be under the container's cgroup limits (default) / not"),
    ]),
    ("Process", [
        (("-u", "--user"), "USER", "User, as NAME|UID[:GROUP|GID]"),
        (("-w", "--workdir"), "DIR", "Working directory"),
        (("-e", "--env"), "ENV", "Set a variable, NAME=VALUE"),
        (("--env-file",), "FILE", "Read variables from a file"),
        (("--env-from",), "config|pid|none", "Begin with the container's config (default), the live environment of its process (pid), or none"),
        (("--shell",), "NAME", "The shell to start when there is no COMMAND"),
        (("--tools",), "host|IMAGE|PATH", "Bring a shell and programs, seen by this session alone: this machine's (host), an image's, or those of a directory (./DIR) or one static program (/bin/busybox)"),
        (("-t", "-T", "--tty", "--no-tty"), "", "A terminal of the container's (default: if this is one) / none"),
        (("-i", "--interactive"), "", "Pass the keyboard on without a terminal too"),
        (("-d", "--detach"), "", "Start the command and come back"),
    ]),
    ("Look, don't enter", [
        (("--dry-run",), "", "Show what would happen, enter nothing"),
        (("--why",), "", "Run COMMAND, and say which restriction refused it and what lifts it"),
        (("--list",), "", "Show the running containers and their namespaces, or all of CONTAINER"),
        (("--format",), "table|json", "How to show it"),
        (("-h", "--help"), "", "This text"),
    ]),
    ("Route", [
        (("--route",), "auto|local|helper", "From this machine, or by a helper container on the engine (default: what works)"),
        (("--helper-image",), "IMAGE", "An image with Python for a helper elsewhere"),
    ]),
]
