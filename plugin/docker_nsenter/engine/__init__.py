"""Ask Docker: which engine, which container, what it says of it. Here: endpoints, HTTP, names, state on disk, images.

Not here: what to do with the answer (planning/), and nothing that needs root.
"""
