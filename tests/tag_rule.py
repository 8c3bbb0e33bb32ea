"""What a rule lets through, written as plainly as its definition, to compare the store with."""

from __future__ import annotations

from collections.abc import Sequence

from photoindex.records import Candidate, Tag, TagRule


def lets_through(rule: TagRule, tags: Sequence[Tag]) -> list[Tag]:
    """Of tags, best first, those that are shown."""

    def good(tag: Tag) -> bool:
        standing = tag.standing if isinstance(tag, Candidate) else None
        stands_out = rule.standing is None or (standing is not None and standing >= rule.standing)
        return tag.score >= rule.own.get(tag.name, rule.at_least) and (tag.name in rule.own or stands_out)

    return [tag for tag in tags if good(tag)][: rule.most]
