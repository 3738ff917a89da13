"""What a line can ask for, a file each: enter, list, inspect, dry_run, complete, install.

Not here: how a part of it is done; that is a room further down.
"""
