"""What this machine, its models and a library are like, and what to do where something is wrong.

Facts are read by `machine`, `gpus`, `packages`, `models` and `library`; what they mean is decided by pure functions
(`machine_checks`, `library_checks`, `speed_checks`), so that every machine can be examined on any other. `measure`
times the stages of a scan, `bench` does so at length. Nothing here writes to a library.

    from photoindex.config import read_settings
    from photoindex.doctor.report import Plan, examine
    from photoindex.models.registry import load_registry

    settings = read_settings()
    found = examine(settings, load_registry(settings.user_models), Plan(seconds=None))
    print(found.level, [finding.message for finding in found.findings])
"""
