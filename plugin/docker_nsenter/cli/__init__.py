"""Read and explain the command line: options, grammar, help, suggestions.

Not here: what a line then does (commands/).
"""
