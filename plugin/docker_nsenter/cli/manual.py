"""Generated from cli/options.py by scripts/generate-grammar; a test holds it current."""

# fmt: off
USAGE = "docker nsenter [OPTIONS] CONTAINER [COMMAND [ARG...]]"
SUMMARY: list[str] = [
    "Debug a running container with your own tools, under its own restrictions.",
    "CONTAINER is a name, an ID prefix, a compose service ([PROJECT/]SERVICE[/N]), a swarm task (SERVICE[.SLOT]), or pid:N (a process on this machine, without an engine). COMMAND defaults to a shell of the container. Options stop at CONTAINER.",
]
VERSION = "0.1.0"
USUAL: list[tuple[str, str]] = [
    ("--tools", "Use this machine's programs, or an image's"),
    ("--net-only", "Join only the network"),
    ("--user", "Run as this user (NAME, UID or UID:GID)"),
    ("--workdir", "Start in this directory"),
    ("--env", "Set a variable, NAME=VALUE"),
    ("--cap-add", "Add a capability, such as SYS_PTRACE"),
    ("--why", "Run the command, and say what refused it"),
    ("--dry-run", "Show what would happen, and run nothing"),
    ("--list", "List the running containers"),
    ("--inspect", "Show everything about one container"),
]
EXAMPLES: list[tuple[str, str]] = [
    ("docker nsenter web", "a shell, or sudo docker nsenter web"),
    ("docker nsenter --tools host web", "the same, with this machine's programs"),
    ("docker nsenter --net-only web ss -tln", "what listens in there"),
    ("docker nsenter --why web touch /sys/x", "why permission is denied"),
    ("docker nsenter --inspect web", "namespaces, capabilities, limits"),
]
MORE = "All options: docker nsenter --help, or man docker-nsenter"
STATUSES: list[tuple[str, str]] = [
    ("0-255", "the command's own exit status"),
    ("128+n", "signal n ended the command"),
    ("125", "nothing was run: usage, engine, or a restriction that can't be put in place"),
    ("126", "the command can't be executed"),
    ("127", "the command is not found"),
]
# (panel, its options: spellings with the letters first, placeholder of the value, text)
PANELS: list[tuple[str, list[tuple[tuple[str, ...], str, str]]]] = [
    ("Namespaces (default: all)", [
        (("-a", "--all"), "", "Join all of them (the default)"),
        (("--userns",), "", "The user and group ids"),
        (("--no-userns",), "", "Join all but the user and group ids"),
        (("--userns-only",), "", "Join only the user and group ids"),
        (("--mount",), "", "The files"),
        (("--no-mount",), "", "Join all but the files"),
        (("--mount-only",), "", "Join only the files"),
        (("--uts",), "", "The host name"),
        (("--no-uts",), "", "Join all but the host name"),
        (("--uts-only",), "", "Join only the host name"),
        (("--ipc",), "", "Shared memory and message queues"),
        (("--no-ipc",), "", "Join all but shared memory and message queues"),
        (("--ipc-only",), "", "Join only shared memory and message queues"),
        (("--net", "--network"), "", "The network (interfaces, ports, routes)"),
        (("--no-net", "--no-network"), "", "Join all but the network (interfaces, ports, routes)"),
        (("--net-only", "--network-only"), "", "Join only the network (interfaces, ports, routes)"),
        (("--pid",), "", "The processes"),
        (("--no-pid",), "", "Join all but the processes"),
        (("--pid-only",), "", "Join only the processes"),
        (("--cgroup", "--cgroupns"), "", "The view of the control groups"),
        (("--no-cgroup", "--no-cgroupns"), "", "Join all but the view of the control groups"),
        (("--cgroup-only", "--cgroupns-only"), "", "Join only the view of the control groups"),
        (("--time",), "", "The clocks that count from the start"),
        (("--no-time",), "", "Join all but the clocks that count from the start"),
        (("--time-only",), "", "Join only the clocks that count from the start"),
    ]),
    ("Restrictions", [
        (("--privileged", "--drop-caps"), "", "Keep every capability that you have / Keep only the container's capabilities (the default)"),
        (("--cap-add",), "CAP", "Add a capability (SYS_PTRACE, ALL)"),
        (("--cap-drop",), "CAP", "Drop a capability"),
        (("--security-opt",), "OPT", "seccomp=unconfined, apparmor=unconfined|PROFILE, label=disable, no-new-privileges[=BOOL]"),
        (("--profile",), "general|baseline|restricted|netadmin|sysadmin", "Start from a set of options, named as in kubectl debug; other options win over it"),
        (("--join-cgroup", "--no-join-cgroup"), "", "Apply the container's cgroup limits (default: yes) / Keep your own cgroup limits"),
    ]),
    ("Process", [
        (("-u", "--user"), "USER", "User, as NAME|UID[:GROUP|GID]"),
        (("-w", "--workdir"), "DIR", "Working directory"),
        (("-e", "--env"), "ENV", "Set a variable, NAME=VALUE"),
        (("--env-file",), "FILE", "Read variables from a file"),
        (("--env-from",), "config|pid|none", "Take the variables from the container's settings (config, the default), from its process (pid), or none"),
        (("--shell",), "NAME", "Shell to run when there is no COMMAND"),
        (("--tools",), "host|IMAGE|PATH", "Bring a shell and programs that only this session sees: this machine's (host), an image's, a directory's (./DIR), or one static program (/bin/busybox)"),
        (("-t", "-T", "--tty", "--no-tty"), "", "Allocate a terminal; -T allocates none (default: if you are at one) / Allocate no terminal"),
        (("-i", "--interactive"), "", "Keep standard input open without a terminal, too"),
        (("-d", "--detach"), "", "Run the command in the background"),
    ]),
    ("Look, don't enter", [
        (("--dry-run",), "", "Show what would happen, and run nothing"),
        (("--why",), "", "Run COMMAND, and say which restriction refused it and what lifts it"),
        (("--list",), "", "List the running containers and what restricts them"),
        (("--inspect",), "", "Show everything about CONTAINER"),
        (("--verbose",), "", "With --dry-run: show the rows that are the same, too"),
        (("--format",), "table|json", "Print a table or JSON (default: table)"),
        (("-h", "--help"), "", "Show this help; -h shows one screen of it"),
        (("--version",), "", "Show the version"),
    ]),
    ("Route", [
        (("--route",), "auto|local|helper", "Start the command from this machine, or from a helper container on the engine (default: what works)"),
        (("--helper-image",), "IMAGE", "Image with Python for a helper on another machine"),
    ]),
]
