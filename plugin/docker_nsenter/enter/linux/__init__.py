"""One notion of the kernel a file, named as in its manual pages.

Not here: what an entry does with it, and in which order (enter/steps.py).
"""
