"""--tools: programs brought into a container that has none.

Not here: which programs (planning/tools.py).
"""
