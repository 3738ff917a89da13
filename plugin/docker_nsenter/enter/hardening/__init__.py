"""What protects us from the container: the interpreter, the code, the host's files, who may look at us.

Not here: what restricts the command (enter/linux/).
"""
