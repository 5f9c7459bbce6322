"""Every family against another implementation of the same model: open_clip's own output, or transformers' modules."""

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_models import DEPTH, PHRASES, SIZE, Made, openai, openai_names, resnet_names
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from audit.encoders.blocks import Half
from audit.encoders.loading import load_encoder
from audit.encoders.model_folder import features
from audit.encoders.open_clip import resnet
from audit.encoders.protocol import DualEncoder

EXACT = {"atol": 1e-5, "rtol": 1e-5}
FIXTURE = Path(__file__).parent / "biomedclip-tiny"


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    with np.load(FIXTURE / "expected.npz") as content:
        return {name: torch.from_numpy(content[name]) for name in content.files if name != "texts"}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    with np.load(FIXTURE / "expected.npz") as content:
        return [str(text) for text in content["texts"]]


@pytest.fixture(scope="module")
def biomedclip() -> DualEncoder:
    return load_encoder(str(FIXTURE))


def test_biomedclip_tokenises_as_open_clip(biomedclip, expected, texts) -> None:
    tokens = biomedclip.text.tokenise(texts)
    length = tokens.ids.shape[1]
    assert torch.equal(tokens.ids, expected["input_ids"][:, :length])
    assert not expected["input_ids"][:, length:].any()


@pytest.mark.parametrize("layer", range(4))
def test_biomedclip_embeds_images_as_open_clip(biomedclip, expected, layer) -> None:
    pixels = expected["pixel_values"].float()
    embedded = biomedclip.image.suffix(biomedclip.image.prefix(pixels, layer), layer)
    torch.testing.assert_close(embedded, expected["image_embeds"], **EXACT)


@pytest.mark.parametrize("layer", range(4))
def test_biomedclip_embeds_phrases_as_open_clip(biomedclip, expected, texts, layer) -> None:
    tokens = biomedclip.text.tokenise(texts)
    embedded = biomedclip.text.suffix(biomedclip.text.prefix(tokens, layer), layer, tokens.mask)
    torch.testing.assert_close(embedded, expected["text_embeds"], **EXACT)


def test_the_third_block_of_biomedclips_towers_is_open_clips(biomedclip, expected, texts) -> None:
    tokens = biomedclip.text.tokenise(texts)
    torch.testing.assert_close(
        biomedclip.image.prefix(expected["pixel_values"].float(), 2), expected["vision_block_2"], **EXACT
    )
    words = biomedclip.text.prefix(tokens, 2)
    theirs = expected["text_block_2"][:, : words.shape[1]]
    torch.testing.assert_close(words[tokens.mask], theirs[tokens.mask], **EXACT)


def compare(folder: Path, reference: CLIPModel, *, size: int) -> None:
    """A state dict under OpenAI's names against transformers' model with the same weights."""
    encoder = load_encoder(str(folder))
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))
    tokens = encoder.text.tokenise(PHRASES)
    with torch.no_grad():
        images = features(reference.get_image_features(pixels))
        texts = features(reference.get_text_features(input_ids=tokens.ids, attention_mask=tokens.mask.long()))
    layer = encoder.image.depth // 2
    torch.testing.assert_close(encoder.image.suffix(encoder.image.prefix(pixels, layer), layer), images, **EXACT)
    torch.testing.assert_close(
        encoder.text.suffix(encoder.text.prefix(tokens, layer), layer, tokens.mask), texts, **EXACT
    )


@pytest.mark.parametrize("patch", [pytest.param(16, id="B/16"), pytest.param(32, id="B/32")])
def test_an_openai_state_dict_gives_what_transformers_gives(tmp_path, patch) -> None:
    made: Made = openai(tmp_path, patch=patch)
    compare(made.folder, made.reference, size=SIZE)


def test_open_clips_own_architecture_has_the_exact_gelu(made_model) -> None:
    compare(made_model("open_clip's own").folder, made_model("open_clip's own").reference, size=SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("patch", [pytest.param(16, id="ViT-B/16"), pytest.param(32, id="ViT-B/32")])
def test_openais_full_size_state_dicts_give_what_transformers_gives(tmp_path, patch) -> None:
    made = openai(tmp_path)
    vocabulary = made.reference.config.text_config.vocab_size
    text = {"vocab_size": vocabulary, "eos_token_id": vocabulary - 1}
    reference = CLIPModel(CLIPConfig(text_config=text, vision_config={"patch_size": patch})).eval()
    torch.save(openai_names(reference), tmp_path / "best.pt")
    processor = (tmp_path / "preprocessor_config.json").read_text().replace(str(SIZE), "224")
    (tmp_path / "preprocessor_config.json").write_text(processor)
    compare(tmp_path, reference, size=224)


def plain_resnet(tensors: dict[str, Tensor], pixels: Tensor, depths: tuple[int, ...]) -> Tensor:
    """OpenAI's ResNet written out with functions, from the paper's description."""

    def convolve(grid: Tensor, name: str, norm: str, *, stride: int = 1) -> Tensor:
        weight = tensors[f"{name}.weight"]
        grid = functional.conv2d(grid, weight, stride=stride, padding=weight.shape[-1] // 2)
        scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + 1e-5).sqrt()
        shifted = grid - tensors[f"{norm}.running_mean"][:, None, None]
        return shifted * scale[:, None, None] + tensors[f"{norm}.bias"][:, None, None]

    grid = pixels
    for number in (1, 2, 3):
        grid = convolve(grid, f"conv{number}", f"bn{number}", stride=2 if number == 1 else 1).clamp(min=0)
    grid = functional.avg_pool2d(grid, 2)
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            at, halve = f"layer{stage}.{block}.", stage > 1 and block == 0
            kept, out = grid, grid
            for number in (1, 2):
                out = convolve(out, f"{at}conv{number}", f"{at}bn{number}").clamp(min=0)
            if halve:
                out, kept = functional.avg_pool2d(out, 2), functional.avg_pool2d(kept, 2)
            out = convolve(out, f"{at}conv3", f"{at}bn3")
            if block == 0:
                kept = convolve(kept, f"{at}downsample.0", f"{at}downsample.1")
            grid = (out + kept).clamp(min=0)
    tokens = grid.flatten(2).transpose(1, 2)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1) + tensors["attnpool.positional_embedding"]
    heads = tokens.shape[-1] // 64

    def project(name: str, value: Tensor) -> Tensor:
        return functional.linear(value, tensors[f"attnpool.{name}.weight"], tensors[f"attnpool.{name}.bias"])

    query, key, value = (
        project(name, tokens).unflatten(2, (heads, 64)).transpose(1, 2) for name in ("q_proj", "k_proj", "v_proj")
    )
    weights = (query[:, :, :1] @ key.transpose(2, 3) / 8).softmax(-1)
    return project("c_proj", (weights @ value).transpose(1, 2).flatten(2)[:, 0])


def test_openais_resnet_is_the_plain_network(made_model) -> None:
    encoder = load_encoder(str(made_model("openai resnet").folder))
    pixels = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    plain = plain_resnet(resnet_names(), pixels, (1, 2, 1, 1))
    torch.testing.assert_close(encoder.image.forward(pixels), plain, atol=1e-4, rtol=1e-4)
    assert [encoder.image.grid_at(layer) for layer in range(5)] == [(16, 16), (8, 8), (8, 8), (4, 4), (2, 2)]


def test_a_full_size_rn50_has_the_number_of_weights_that_openai_published() -> None:
    """38,316,896 in the image half, as open_clip's model profile has it (38.32 million)."""
    tensors = resnet_names((3, 4, 6, 3), width=64, dim=1024)
    tensors["attnpool.positional_embedding"] = torch.zeros(50, 2048)
    half = Half(tensors=tensors, config={}, folder=Path(), device=torch.device("cpu"), activation="quick_gelu")
    tower, size = resnet.build(half)
    assert (tower.parameters, tower.depth, size) == (38_316_896, 16, 224)


def test_full_depth_towers_split_where_the_paper_says(made_model) -> None:
    assert load_encoder(str(made_model("clip").folder)).image.depth == DEPTH
