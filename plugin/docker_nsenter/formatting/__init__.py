"""Draw tables, cards and progress; the one room that imports rich.

Not here: finding out what is drawn (commands/, planning/).
"""
