"""Enter a container's namespaces with exactly the container's own restrictions.

argv --cli--> Request --engine--> Container --plan--> Plan --routes--> enter: steps --> execve

Stage 1 (this package) decides as you; stage 2 (enter/) acts as root and imports nothing above itself.
"""
