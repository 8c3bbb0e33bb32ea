"""Zero-shot tags: a picture's vector against the vectors of a vocabulary, in the space of an OpenCLIP model.

The step keeps the best scores of a picture; which of these tags are shown follows from the rule in force, which is
by the model (of its block: option in brackets, threshold in parentheses, with defaults):
1. The score comes from the cosines times the model's logit scale. [scoring softmax]: over the vocabulary, so that
   how far a tag is ahead of the others decides, not a cosine whose level differs from model to model. [scoring
   sigmoid]: each tag for itself, with the model's logit bias, for models trained that way (SigLIP).
   A tag needs a score of at least (probability 0.05).
2. A tag also has to stand out of the picture's own cosines, by robust z-score: its distance to their median over
   1.4826 times their median absolute deviation. Where nothing fits, a softmax still has winners. (z 2.0)
3. The best [limit 10] of them, best first.
Several [template]s (text with {} for the tag, or a list of such) are averaged.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.models.words import read_vocabulary
from photoindex.records import AUTOMATIC, Candidate, FloatArray, Picture, Problem, RuntimeOptions, TagRule, View
from photoindex.steps.forms import Forms, make_forms, read_forms
from photoindex.steps.text_encoder import TextEncoder

DEFAULTS: Mapping[str, float] = {"probability": 0.05, "z": 2.0}
LIMIT = 10
# What is kept of a picture, so that a lower threshold finds more: the best tags down to a score that says nothing.
KEPT, FLOOR = 32, 0.005


class Tags:
    """The tags step. Needs the photo's embedding and no pixels; facts are tuples of Candidate, best first."""

    views: tuple[View, ...] = ()
    runtime = "numpy-cpu-f32"
    batch_size = 256

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        """Encodes the vocabulary with the text tower unless that was done before. Raises ModelMissing, ModelBroken."""
        make_forms(installed, options.stop)
        self.model = installed.spec.name
        self._names = read_vocabulary(Path(installed.spec.options["vocabulary"]))
        self._vectors = _vocabulary_vectors(installed, self._names)
        self._forms = read_forms(installed)
        rule = rule_of(installed.spec)
        self._floor = min(FLOOR, rule.at_least)
        self._most = max(KEPT, rule.most or 0)
        self._sigmoid = _uses_sigmoid(installed, self._forms)

    def run(self, pictures: Sequence[Picture], facts: Sequence[Mapping[str, Any]]) -> list[Any | Problem]:  # noqa: ARG002
        """What is kept of each picture: a tuple of Candidate.

        `facts[i]["embedding"]` is its vector (width,) of any float dtype.
        """
        vectors = np.stack([np.asarray(fact["embedding"], np.float32) for fact in facts])
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return [self._keep(cosines) for cosines in vectors @ self._vectors.T]

    def close(self) -> None:
        """Nothing is held but arrays."""

    def _keep(self, cosines: FloatArray) -> tuple[Candidate, ...]:
        logits = self._forms.logit_scale * cosines
        scores = sigmoid(logits + (self._forms.logit_bias or 0.0)) if self._sigmoid else softmax(logits)
        standings = robust_z(cosines)
        best = sorted(np.flatnonzero(scores >= self._floor), key=lambda index: -scores[index])[: self._most]
        return tuple(Candidate(self._names[i], float(scores[i]), float(standings[i])) for i in best)


def rule_of(spec: ModelSpec) -> TagRule:
    """The model's own rule, of its block and the defaults."""
    thresholds = {**DEFAULTS, **spec.thresholds}
    limit = int(spec.options.get("limit", LIMIT))
    return TagRule(thresholds["probability"], standing=thresholds["z"], most=limit)


def softmax(logits: FloatArray) -> FloatArray:
    """exp(logits) over their sum, float32 (n,)."""
    raised = np.exp(logits - logits.max())
    normalised: FloatArray = (raised / raised.sum()).astype(np.float32)
    return normalised


def sigmoid(logits: FloatArray) -> FloatArray:
    """1 / (1 + exp(-logits)), float32 (n,)."""
    bounded = np.clip(logits, -80.0, 80.0)
    scores: FloatArray = (1.0 / (1.0 + np.exp(-bounded))).astype(np.float32)
    return scores


def robust_z(values: FloatArray) -> FloatArray:
    """How many robust standard deviations each value lies above the median, float32 (n,)."""
    from_median = values - np.median(values)
    spread = 1.4826 * np.median(np.abs(from_median))
    standing: FloatArray = (from_median / max(float(spread), 1e-6)).astype(np.float32)
    return standing


def _uses_sigmoid(installed: InstalledModel, forms: Forms) -> bool:
    scoring = installed.spec.options.get("scoring", "softmax")
    if scoring == "sigmoid" and forms.logit_bias is None:
        reason = f"scoring is sigmoid, but {forms.model} was trained without a logit bias"
        raise ModelBroken(installed.spec.name, reason, "photoindex models list")
    if scoring not in ("softmax", "sigmoid"):
        raise ModelBroken(installed.spec.name, f"no scoring is called {scoring!r}", "photoindex models list")
    return bool(scoring == "sigmoid")


def _vocabulary_vectors(installed: InstalledModel, names: Sequence[str]) -> FloatArray:
    """float32 (tags, width), L2-normalised: from the file beside the forms, or encoded now and put there."""
    given = installed.spec.options.get("template", "a photo of a {}")
    templates = [str(each) for each in ([given] if isinstance(given, str) else given)]
    key = hashlib.sha256(json.dumps([list(names), templates]).encode()).hexdigest()[:12]
    kept = read_forms(installed).folder / f"tags-{key}.npy"
    if kept.is_file():
        vectors: FloatArray = np.load(kept, allow_pickle=False)
        return vectors
    return _encode_vocabulary(installed, names, templates, kept)


def _encode_vocabulary(installed: InstalledModel, names: Sequence[str], templates: list[str], kept: Path) -> FloatArray:
    encoder = TextEncoder(installed, RuntimeOptions(threads=os.cpu_count() or 1))
    total = sum(encoder.encode([template.replace("{}", name) for name in names]) for template in templates)
    encoder.close()
    summed = np.asarray(total, np.float32)
    vectors: FloatArray = summed / np.linalg.norm(summed, axis=1, keepdims=True)
    part = kept.with_name(f".{kept.name}-{os.getpid()}")
    with part.open("wb") as out:
        np.save(out, vectors)
    part.replace(kept)
    return vectors
