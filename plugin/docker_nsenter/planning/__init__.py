"""Decide what will happen: a Request and a Container become a Plan.

Not here: asking the engine (engine/), and acting (routes/, enter/).
"""
