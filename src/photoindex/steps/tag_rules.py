"""What a tags model says of its own tags, without its weights: their names, and the rule by which they are shown."""

from __future__ import annotations

from pathlib import Path

from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.models.words import read_vocabulary
from photoindex.records import TagRule
from photoindex.steps import ram_plus, tags


def model_rule(spec: ModelSpec, models_dir: Path) -> TagRule | None:
    """The model's own rule, from its block and its lists; None where the lists are not on this machine.

    Raises ModelBroken where they do not fit together.
    """
    if spec.architecture != ram_plus.ARCHITECTURE:
        return tags.rule_of(spec)
    folder = spec.path or models_dir / spec.name
    lists = [folder / str(spec.options.get(name, "")) for name in ("tags", "thresholds")]
    return ram_plus.rule_of(InstalledModel(spec, folder)) if all(path.is_file() for path in lists) else None


def tag_names(spec: ModelSpec, rule: TagRule | None) -> tuple[str, ...]:
    """Every tag the model can give; none where that is not known without its lists. Raises RegistryInvalid."""
    if spec.architecture != ram_plus.ARCHITECTURE:
        return tuple(read_vocabulary(Path(spec.options["vocabulary"])))
    return tuple(rule.own) if rule else ()


def lowest_kept(spec: ModelSpec) -> float:
    """The score below which nothing is kept, so that no threshold can bring it back."""
    return ram_plus.FLOOR if spec.architecture == ram_plus.ARCHITECTURE else tags.FLOOR
