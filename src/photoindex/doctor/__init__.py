"""What this machine, its models and a library are like, and what to do where something is wrong.

Facts are read by `machine`, `gpus`, `packages`, `models` and `library`; what they mean is decided by pure functions
(`machine_checks`, `library_checks`, `speed_checks`), so that every machine can be examined on any other. `measure`
times the stages of a scan, `bench` does so at length. Nothing here writes to a library.
"""
