"""Name the fields of a Plan for type checkers: nothing here is ever run, validate.py has what is checked."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from .hints import Line

    class PlannedTarget(TypedDict):
        """The process to enter, its container ('' for pid:N), and whose the engine is (0: root's)."""

        pid: int
        container: str
        owner: int
        name: str

    class PlannedCapabilities(TypedDict):
        """Which set to begin with, and bit sets to add and drop."""

        base: str
        add: int
        drop: int

    class PlannedEnvironment(TypedDict):
        """Where the environment comes from, and its NAME=VALUE words."""

        base: str
        set: list[str]

    class PlannedTools(TypedDict):
        """Which tools: the host's, the root made of layers (uppermost first), or one static file; its PATH."""

        kind: str
        layers: list[str]
        path: list[str]

    class PlannedRecording(TypedDict):
        """The caller's file, and whether keys go into it."""

        file: str
        input: bool

    class PlannedWhy(TypedDict):
        """The line to type again, an empty word before the container, and whether the engine has docker update."""

        again: list[str]
        updates: bool

    class Identity(TypedDict):
        """Who the command will be: USER[:GROUP] as docker reads it, None for the caller, and --group-add's words."""

        user: str | None
        groups: list[str]

    class Plan(Identity):
        """What stage 2 has to do; plain JSON."""

        version: int
        route: str
        target: PlannedTarget
        namespaces: list[str]
        capabilities: PlannedCapabilities
        seccomp: str
        filters: list[str]
        apparmor: str | None
        apparmor_needed: bool
        selinux: str | None
        no_new_privs: bool | None
        cgroups: bool
        limits: bool
        environment: PlannedEnvironment
        directory: str | None
        command: list[str]
        connect: list[str]
        hold: bool
        shell: str | None
        tty: bool
        stdin: bool
        detach: bool
        mounts: list[str]
        tools: PlannedTools | None
        debug: bool
        why: PlannedWhy | None
        typed: Line
        record: PlannedRecording | None
        journal: dict[str, str]
