"""Generated from cli/options.py by scripts/generate-grammar; a test holds it current."""

# fmt: off
USAGE = "docker nsenter [OPTIONS] CONTAINER [COMMAND [ARG...]]"
SUMMARY: list[str] = [
    "Debug a running container with your own tools, under its own restrictions.",
    "CONTAINER is a name, an ID prefix, a compose service ([PROJECT/]SERVICE[/N]), a swarm task (SERVICE[.SLOT]), or pid:N (a process on this machine, without an engine). Several are a list (web,db) or a pattern in quotes ('shop/*', '*'): COMMAND runs in each. COMMAND defaults to a shell. Options go before CONTAINER.",
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
    ("docker nsenter web", "open a shell (sudo may be needed)"),
    ("docker nsenter --tools host web", "the same, with this machine's programs"),
    ("docker nsenter --net-only web ss -tln", "show its listening ports"),
    ("docker nsenter --why web touch /sys/x", "find out why permission is denied"),
    ("docker nsenter --inspect web", "show its capabilities, limits and more"),
]
MORE = "All options: docker nsenter --help, or man docker-nsenter"
STATUSES: list[tuple[str, str]] = [
    ("0-255", "the command's own exit status"),
    ("128+n", "signal n ended the command"),
    ("125", "nothing ran: a usage or engine error, or a restriction that can't be applied"),
    ("126", "the command can't be executed"),
    ("127", "the command is not found"),
]
# (panel, its options: spellings with the letters first, placeholder of the value, text)
PANELS: list[tuple[str, list[tuple[tuple[str, ...], str, str]]]] = [
    ("Namespaces to join (default: all)", [
        (("-a", "--all"), "", "Join all of them (the default)"),
        (("--userns",), "", "The user and group IDs"),
        (("--no-userns",), "", "Join all but the user and group IDs"),
        (("--userns-only",), "", "Join only the user and group IDs"),
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
        (("--cgroup", "--cgroupns"), "", "The view of the cgroup tree"),
        (("--no-cgroup", "--no-cgroupns"), "", "Join all but the view of the cgroup tree"),
        (("--cgroup-only", "--cgroupns-only"), "", "Join only the view of the cgroup tree"),
        (("--time",), "", "The clocks since boot (monotonic, boottime)"),
        (("--no-time",), "", "Join all but the clocks since boot (monotonic, boottime)"),
        (("--time-only",), "", "Join only the clocks since boot (monotonic, boottime)"),
    ]),
    ("Restrictions", [
        (("--privileged", "--drop-caps"), "", "Keep all of your capabilities / Keep only the container's capabilities (the default)"),
        (("--cap-add",), "CAP", "Add a capability (SYS_PTRACE, ALL)"),
        (("--cap-drop",), "CAP", "Drop a capability"),
        (("--security-opt",), "OPT", "seccomp=unconfined, apparmor=unconfined|PROFILE, label=disable, no-new-privileges[=BOOL]"),
        (("--profile",), "general|baseline|restricted|netadmin|sysadmin", "Start from a preset, named as in kubectl debug; other options override it"),
        (("--join-cgroup", "--no-join-cgroup"), "", "Apply the container's cgroup limits (default: yes) / Keep your own cgroup limits"),
    ]),
    ("Process", [
        (("-u", "--user"), "USER", "Run as this user: NAME|UID[:GROUP|GID]"),
        (("-w", "--workdir"), "DIR", "Start in this directory"),
        (("-e", "--env"), "ENV", "Set a variable, NAME=VALUE"),
        (("--env-file",), "FILE", "Read variables from a file"),
        (("--env-from",), "config|pid|none", "Take variables from the container's settings (config, the default), from its process (pid), or none"),
        (("--shell",), "NAME", "Shell to run if there is no COMMAND"),
        (("--tools",), "host|IMAGE|PATH", "Use a shell and programs from this machine (host), an image, a directory (./DIR) or one static program (/bin/busybox); only this session sees them"),
        (("-t", "-T", "--tty", "--no-tty"), "", "Allocate a terminal, or none with -T (default: if you run it from one) / Allocate no terminal"),
        (("-i", "--interactive"), "", "Keep standard input open, even without a terminal"),
        (("-d", "--detach"), "", "Run the command in the background"),
        (("--forward",), "[BIND:]PORT:[HOST:]PORT", "Reach a port or unix socket of the container at one of yours (127.0.0.1), until ^C or while COMMAND runs"),
        (("--at-exit",), "", "Wait until CONTAINER is about to end, hold it there, and enter; it ends when you leave"),
        (("--at-start",), "", "Wait until CONTAINER runs, and enter at once"),
        (("--record",), "FILE", "Record the output in a new file on this machine, for asciinema"),
        (("--record-input",), "", "Also record what is typed, passwords included"),
    ]),
    ("Several containers", [
        (("--filter",), "KEY=VALUE", "Enter only those that docker ps --filter shows (label=tier=edge, name=web)"),
        (("--parallel",), "N", "Enter at most N at once (default: twice the processors)"),
        (("--fail-fast",), "", "When one fails, end the others and start no more"),
        (("--no-prefix",), "", "Print lines without the container's name"),
    ]),
    ("Look and explain", [
        (("--dry-run",), "", "Show what would happen, and run nothing"),
        (("--why",), "", "Run COMMAND, and say which restriction refused it and what lifts it"),
        (("--list",), "", "List the running containers and what restricts them"),
        (("--inspect",), "", "Show everything about CONTAINER"),
        (("--verbose",), "", "With --dry-run: also show the rows that do not differ"),
        (("--format",), "table|json", "Print a table or JSON (default: table)"),
        (("-h", "--help"), "", "Show this help; -h shows a short version"),
        (("--version",), "", "Show the version"),
    ]),
    ("Route", [
        (("--route",), "auto|local|helper", "Start the command from this machine, or from a helper container on the engine (default: whichever works)"),
        (("--helper-image",), "IMAGE", "Image for a helper on another machine; it must have Python"),
    ]),
]
