"""--why: see which system call was refused, and say by what.

Not here: anything that an ordinary entry needs.
"""
