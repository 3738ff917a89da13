"""Enter through a helper container of the engine: its image, its client here, and who removes it.

Not here: what runs inside the helper (enter/session/relay.py).
"""
