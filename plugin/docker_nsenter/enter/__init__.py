"""Make the Plan so: the only code of the product that runs with power.

The rules of this folder, each held by tests/test_rules.py or ruff.toml:
- Standard library only, imports at the top of a module only: after setns an import would run the container's files.
- Nothing above this folder is imported: what decides must not be needed by what acts.
- One system call is one line in kernel.py; nobody else touches ctypes.
- Open first, join later; every descriptor is close-on-exec; process ids come from our own fork or from the Plan.
- Fail closed: an expected errno is named, any other ends the entry before the command starts.
"""
