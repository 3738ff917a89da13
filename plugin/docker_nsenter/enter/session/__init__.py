"""What runs once the command does, without power: bytes, signals, terminal, exit status.

Not here: anything that joins, drops or opens (enter/steps.py).
"""
