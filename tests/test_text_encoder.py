# ruff: noqa: RUF001 - letters that look like others are the point here
"""Texts become vectors without torch, with the token ids and the vectors of OpenCLIP itself."""

import json
import subprocess
import sys

import numpy as np
import pytest

from photoindex.errors import ModelBroken
from photoindex.steps.forms import as_forms, read_forms
from photoindex.steps.text_cleaning import clean_text
from photoindex.steps.text_encoder import TextEncoder, Tokenizer
from test_embedding import SMALL, export_here, random_model

NASTY = [
    "a photo of a dog",
    "",
    "   ",
    "Crème brûlée & fish&amp;chips &lt;b&gt; &amp;amp;",
    "it's we've THEY'LL I'm o'clock 'tis rock'n'roll",
    "don’t “quote” — dash… ﬁnger №5 ½ ²",
    "日本語のレシート 한국어 ไทย العربية עברית İstanbul ıI ẞß",
    "😀🍕 👩‍👩‍👧‍👦 🇩🇪 e\u0301 \u200b\ufeff",
    "mojibake: schÃ¶n donâ€™t",
    "tabs\tand\nnew\r\nlines   and\u00a0spaces\u3000",
    "snake_case kebab-case CamelCase 12345 3.14 $9.99 !!??",
    "\x1b[31mred\x1b[0m \x00 \x07",
    "<end_of_text> in the middle",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ｆｕｌｌｗｉｄｔｈ",
    "antidisestablishmentarianism " * 3,
    "word " * 300,
    "x" * 500,
    "'ſ long s",
]


def test_token_ids_are_those_of_openclip_on_nasty_texts(clip):
    import open_clip

    wanted = open_clip.SimpleTokenizer()(NASTY).numpy()
    own = Tokenizer(read_forms(clip))
    for text, row in zip(NASTY, wanted, strict=True):
        ids = own.pad(own.encode([text]))[0]
        assert ids.tolist() == row[: len(ids)].tolist(), text
        assert not row[len(ids) :].any(), text
    together = own.pad(own.encode(NASTY))
    assert together.tolist() == wanted[:, : together.shape[1]].tolist()


def test_a_long_text_is_cut_and_keeps_its_end_token(clip):
    [ids] = Tokenizer(read_forms(clip)).encode(["word " * 300])
    assert (len(ids), ids[0], ids[-1]) == (77, 49406, 49407)


@pytest.mark.parametrize("how", ["lower", "whitespace", "canonicalize"])
def test_texts_are_cleaned_as_openclip_cleans_them(how):
    from open_clip.tokenizer import get_clean_fn

    for text in NASTY:
        assert clean_text(text, how) == get_clean_fn(how)(text)


def test_text_vectors_are_those_of_openclip(clip):
    import open_clip
    import torch

    model = open_clip.create_model(f"local-dir:{clip.path}").eval()
    with torch.inference_mode():
        wanted = model.encode_text(open_clip.SimpleTokenizer()(NASTY), normalize=True).numpy()
    encoder = TextEncoder(clip)
    found = encoder.encode(NASTY)
    assert found.shape == (len(NASTY), 64)
    assert found.dtype == np.float32
    assert (found * wanted).sum(1).min() > 0.9999
    assert (encoder.encode(["a pizza"])[0] @ encoder.encode(["a pizza", "x" * 500])[0]) > 0.9999
    assert encoder.encode([]).shape == (0, 64)


def test_encoding_a_query_imports_neither_torch_nor_open_clip_nor_transformers(clip):
    program = f"""
import sys
from pathlib import Path
from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.steps.text_encoder import TextEncoder

pytest_plugins = ("small_clip",)
spec = ModelSpec("tiny-clip", "embedding", "tiny-clip", "x", True, options={{"config": "open_clip_config.json"}})
encoder = TextEncoder(InstalledModel(spec, Path({str(clip.path)!r}), Path({str(clip.derived)!r})))
assert encoder.encode(["a pizza, cafés &amp; more"]).shape == (1, 64)
print([name for name in ("torch", "open_clip", "transformers", "openvino", "PIL") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_model_that_was_not_prepared_says_so(tmp_path):
    model = random_model(tmp_path / "m", config=SMALL)
    with pytest.raises(ModelBroken, match="photoindex models pull a-model"):
        TextEncoder(model)


def siglip_like(folder):
    """A model in SigLIP's manner: tokenizer.json among its files, no causal mask, the last token's vector."""
    from tokenizers import Tokenizer as Rust
    from tokenizers import decoders, models, normalizers, processors, trainers

    rust = Rust(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    rust.normalizer = normalizers.Replace(" ", "▁")
    rust.decoder = decoders.ByteFallback()
    special = ["<pad>", "<eos>", "<bos>", "<unk>", *[f"<0x{byte:02X}>" for byte in range(256)]]
    rust.train_from_iterator([clean_text(text, "canonicalize") for text in NASTY * 3], trainers.BpeTrainer(
        vocab_size=600, special_tokens=special[:4], initial_alphabet=[], show_progress=False,
    ))  # fmt: skip
    described = json.loads(rust.to_str())
    vocabulary = described["model"]["vocab"]
    for token in special:
        vocabulary.setdefault(token, len(vocabulary))
    rust = Rust.from_str(json.dumps(described))
    rust.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    folder.mkdir()
    rust.save(str(folder / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**told, "unk_token": "<unk>", "padding_side": "right"}))
    text = {
        "context_length": 24, "vocab_size": len(vocabulary), "width": 16, "heads": 2, "layers": 1,
        "hf_tokenizer_name": "nobody/nothing", "tokenizer_kwargs": {"clean": "canonicalize"}, "no_causal_mask": True,
        "proj_bias": True, "pool_type": "last",
    }  # fmt: skip
    config = {**SMALL, "custom_text": True, "init_logit_bias": -10, "text_cfg": text}
    return random_model(folder, config=config)


def test_a_model_with_a_tokenizer_of_its_own_is_tokenized_like_openclip_does(tmp_path):
    from open_clip.tokenizer import HFTokenizer

    model = siglip_like(tmp_path / "m")
    work = tmp_path / "work"
    assert export_here(model, work) == 0
    forms = as_forms(work, json.loads((work / "forms.json").read_text()))
    assert forms.refused == {}
    assert (forms.trim, forms.logit_bias) == (False, -10.0)
    wanted = HFTokenizer(str(model.path), context_length=24, clean="canonicalize")(NASTY).numpy()
    own = Tokenizer(forms)
    assert (work / "quick.json").is_file()
    for text, row in zip(NASTY, wanted, strict=True):
        assert own.pad(own.encode([text]))[0].tolist() == row.tolist(), text
    assert own.pad(own.encode(NASTY)).tolist() == wanted.tolist()
