"""Make the Plan so: the only code of the product that runs with power.

The rules of this folder, each held by tests/test_rules.py or ruff.toml:
- Standard library only, imports at the top of a module only: after setns an import would run the container's files.
- Nothing above this folder is imported: what decides must not be needed by what acts.
- One system call is one line in linux/syscalls.py; nobody else touches ctypes.
- Open first, join later; every descriptor is close-on-exec; process ids come from our own fork or from the Plan.
- Fail closed: an expected errno is named, any other ends the entry before the command starts.

Who holds what power when, and which files are in memory then; tests/kernel/test_power.py derives it from a real entry:

| process, phase | holds | files |
|---|---|---|
| installer | all of root's | validate.py, steps.py, entry.py, target.py, membership.py, stdio.py, command.py, channel.py, processes.py, children.py, start.py, errors.py, jsonlite.py, config.py, linux/syscalls.py, linux/procfs.py, linux/namespaces.py, linux/cgroups.py, linux/capabilities.py, linux/capset.py, linux/seccomp.py, linux/lsm.py, linux/landlock.py, linux/limits.py, linux/scheduling.py, linux/mounts.py, linux/credentials.py, hardening/exeseal.py, hardening/readonly_host.py, hardening/guard.py, session/client.py, session/status.py |
| supervisor, before | all of root's | as above, launch.py, verify.py, told.py, jsonwrite.py, linux/signals.py, hardening/powerless.py, hardening/secure_path.py, session/terminal.py, session/journal.py, session/pumps.py, session/supervisor.py, session/run.py |
| supervisor, after | KILL | as above |
| many: who starts the others | all of root's, after the last start KILL | as above, many.py, document.py, session/frames.py |
| many: the collector | nothing | as above, session/collector.py |
| guardian, where a label changes | KILL | those of the supervisor, session/guardian.py |
| command's process | what the Plan says | those of the installer, whose copy it is |

Both drop while the command waits for its go. The test also counts what runs before that.
Loaded before, run only after: command.py, children.py, told.py, jsonwrite.py, linux/signals.py, hardening/powerless.py.
What words an error, session/failures.py and hints.py, is read before and run only after, where there is one.
Of session/ only some functions run before, which open what is carried later: the test finds them.

The installer is forked from the supervisor before that loads what it watches with, so its row comes first. With --tools both
also have toolbox/tools.py, with SELinux linux/labelled_pipes.py, with --record recorded.py and session/recording.py, with --forward forwarded.py and, of
session/, connector.py, resolver.py and tunnel.py, in the place of a command and in a process of the caller's that holds
nothing (listener.py). With --at-exit the supervisor has held.py before it drops. With --why the supervisor has tracing/: it goes on to hold SYS_PTRACE and DAC_READ_SEARCH.
"""
