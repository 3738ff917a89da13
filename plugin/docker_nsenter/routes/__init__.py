"""How a Plan reaches the engine's host: local (we are root here)."""
