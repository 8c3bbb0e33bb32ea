"""RAM++ as torch modules (Huang et al. 2023, arXiv 2310.15200): pictures in, a logit for each of its tags out.

A Swin transformer (Liu et al. 2021, arXiv 2103.14030; timm's) looks at the picture. Each tag owns several described
meanings, vectors of CLIP's text tower; those that fit the picture best make up the tag's query. Two decoder layers
(Liu et al. 2021, arXiv 2107.10834) let every query attend to the picture; tags do not see each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch  # noqa: TID253 - only `ram_plus.load_ram_plus` imports this file, and when it is called
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock
from torch import nn  # noqa: TID253 - as above
from torch.nn import functional  # noqa: TID253 - as above

DESCRIPTIONS = 51
HEADS = 4
PATCH = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """What distinguishes one RAM++ from another; all of it shows in the shapes of its weights.

    `channels`, `depths` and `heads` of the Swin transformer by stage, `window` in patches; `meaning` is the width
    of the described meanings, `hidden` and `inner` the widths of the decoder's `layers`.
    """

    tags: int
    meaning: int
    hidden: int
    inner: int
    layers: int
    channels: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int

    @property
    def picture(self) -> int:
        """The side of the pictures in pixels: in the last stage, one window covers all."""
        return (PATCH << (len(self.depths) - 1)) * self.window


def sizes_of(shapes: Mapping[str, tuple[int, ...]]) -> Sizes:
    """The sizes of the model whose tensors, under their published names, have these shapes. Raises KeyError."""
    stages, blocks = "visual_encoder.layers.{}.blocks.0.attn.{}", "visual_encoder.layers.{}.blocks.{}.norm1.weight"
    table, layer = "relative_position_bias_table", "tagging_head.encoder.layer.{}.intermediate.dense.weight"
    count = _how_many(stages.format("{}", table), shapes)
    return Sizes(
        tags=shapes["label_embed"][0] // DESCRIPTIONS,
        meaning=shapes["label_embed"][1],
        hidden=shapes["wordvec_proj.weight"][0],
        inner=shapes[layer.format(0)][0],
        layers=_how_many(layer, shapes),
        channels=shapes["visual_encoder.patch_embed.proj.weight"][0],
        depths=tuple(_how_many(blocks.format(stage, "{}"), shapes) for stage in range(count)),
        heads=tuple(shapes[stages.format(stage, table)][1] for stage in range(count)),
        window=(int(shapes[stages.format(0, table)][0] ** 0.5) + 1) // 2,
    )


def _how_many(key: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    count = 0
    while key.format(count) in shapes:
        count += 1
    return count


class RamPlus(nn.Module):
    """The whole network. Built where torch's default device is; the weights come from the checkpoint."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = SwinTransformer(
            img_size=sizes.picture,
            patch_size=PATCH,
            num_classes=0,
            global_pool="",
            embed_dim=sizes.channels,
            depths=sizes.depths,
            num_heads=sizes.heads,
            window_size=sizes.window,
        )
        self.image_proj = nn.Linear(self.encoder.num_features, sizes.meaning)
        self.descriptions = nn.Parameter(torch.empty(sizes.tags * DESCRIPTIONS, sizes.meaning))
        self.log_scale = nn.Parameter(torch.empty(()))
        self.query_proj = nn.Linear(sizes.meaning, sizes.hidden)
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.layers))
        self.score = nn.Linear(sizes.hidden, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits float32 (n, tags) of pixels (n, 3, side, side), normalised, in the dtype of the weights."""
        seen = self.image_proj(self.see(pixels))
        queries = functional.relu(self.query_proj(self.blend(seen[:, 0])[0]))
        for layer in self.layers:
            queries = layer(queries, seen)
        logits: torch.Tensor = self.score(queries).squeeze(-1).float()
        return logits

    def blocks(self) -> list[nn.Module]:
        """The parts that run one after another, each a small share of the work."""
        return [module for module in self.modules() if isinstance(module, SwinTransformerBlock | DecoderLayer)]

    def see(self, pixels: torch.Tensor) -> torch.Tensor:
        """The picture in tokens (n, 1 + places, channels): the mean of all places, then place by place."""
        places = self.encoder.forward_features(pixels).flatten(1, 2)
        return torch.cat([places.mean(1, keepdim=True), places], 1)

    def blend(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Each tag's meaning (n, tags, meaning) for pictures (n, meaning), and the weights (n, tags, 51) behind it."""
        fit = self.log_scale.exp() * functional.normalize(pooled, dim=-1) @ self.descriptions.T
        weights = fit.view(len(fit), -1, DESCRIPTIONS).softmax(-1)
        described = self.descriptions.view(-1, DESCRIPTIONS, self.sizes.meaning)
        return torch.einsum("ntk,tkd->ntd", weights, described), weights


class DecoderLayer(nn.Module):
    """Queries (n, tags, hidden) attend to the tokens of the picture (n, tokens, meaning); normalised afterwards."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.query = nn.Linear(sizes.hidden, sizes.hidden)
        self.key = nn.Linear(sizes.meaning, sizes.hidden)
        self.value = nn.Linear(sizes.meaning, sizes.hidden)
        self.attended = nn.Linear(sizes.hidden, sizes.hidden)
        self.attended_norm = nn.LayerNorm(sizes.hidden, eps=1e-12)
        self.widen = nn.Linear(sizes.hidden, sizes.inner)
        self.narrow = nn.Linear(sizes.inner, sizes.hidden)
        self.norm = nn.LayerNorm(sizes.hidden, eps=1e-12)

    def forward(self, queries: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        query, key, value = _split(self.query(queries)), _split(self.key(seen)), _split(self.value(seen))
        attended = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        queries = self.attended_norm(queries + self.attended(attended))
        normed: torch.Tensor = self.norm(queries + self.narrow(functional.gelu(self.widen(queries))))
        return normed


def _split(tokens: torch.Tensor) -> torch.Tensor:
    return tokens.view(*tokens.shape[:2], HEADS, -1).transpose(1, 2)
