"""The models: what models.toml says of them, and their weights on this machine.

    from photoindex.config import read_settings
    from photoindex.models.install import pull
    from photoindex.models.registry import load_registry

    settings = read_settings()
    registry = load_registry(settings.user_models)
    for spec in registry.for_profile("permissive").values():
        pull(registry, spec, settings.models_dir, lambda name, done, total: None)

Every `photoindex models` command is one function: `describe.state_of` and `describe.details_of` (list, show),
`install.pull` and `install.locate` (pull, path), `verify.verify`, `bundle.export_models` and `intake.import_models`,
`removal.plan_removal` and `removal.remove`.
"""
