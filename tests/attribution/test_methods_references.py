"""Each method against a plain form of it, written with hooks and recorded attention on transformers' own CLIP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from made_up_models import DEPTH, PHRASES, SIZE, Made
from shapley_definition import shapley_by_definition
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.chefer import Chefer
from audit.attribution.engine import Method
from audit.attribution.grad_cam import GradCAM
from audit.attribution.grad_eclip import GradECLIP
from audit.attribution.iba import IBA
from audit.attribution.kernel_shap import KernelSHAP
from audit.attribution.legrad import LeGrad, LeGradPool
from audit.attribution.m2ib import M2IB
from audit.attribution.nib import NIB
from audit.attribution.pairs import Attribution, Request
from audit.attribution.patch_similarity import PatchSimilarity
from audit.attribution.rise import RISE, random_masks
from audit.attribution.rollout import Rollout
from audit.attribution.saliency import Saliency
from audit.encoders.model_folder import features
from audit.encoders.protocol import DualEncoder

PHRASE, SEED = PHRASES[1], 31
SIDES = [pytest.param("image", id="image"), pytest.param("text", id="text")]


class Plain:
    """One half of the library's own model, on one image or one phrase without padding."""

    def __init__(self, made: Made, encoder: DualEncoder, side: str) -> None:
        self.model, self.side = made.reference, side
        self.model.set_attn_implementation("eager")
        tower = self.model.vision_model if side == "image" else self.model.text_model
        self.layers, self.embeddings = tower.encoder.layers, tower.embeddings
        self.pixels = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(4))
        self.tokens = encoder.text.tokenise([PHRASE])
        self.attentions: list[Tensor] = []
        with torch.no_grad():
            self.target = self.text() if side == "image" else self.image(self.pixels)

    def image(self, pixels: Tensor) -> Tensor:
        return features(self.model.get_image_features(pixels))

    def text(self) -> Tensor:
        return features(self.model.get_text_features(input_ids=self.tokens.ids))

    def cosine(self) -> Tensor:
        embedded = self.image(self.pixels) if self.side == "image" else self.text()
        return cosine_similarity(embedded, self.target)[0]

    def head(self, hidden: Tensor) -> Tensor:
        """Pool and project the output of any block, [1, tokens, width]."""
        if self.side == "image":
            return self.model.visual_projection(self.model.vision_model.post_layernorm(hidden[:, 0]))
        return self.model.text_projection(self.model.text_model.final_layer_norm(hidden[:, -1]))

    @property
    def pooled(self) -> int:
        return 0 if self.side == "image" else -1

    @contextmanager
    def replaced(self, layer: int, output: Tensor) -> Iterator[None]:
        with hooked(self.layers[layer], lambda _module, _inputs, _output: output):
            yield

    def recorded(self, modules: list[nn.Module], *, inputs: bool = False) -> tuple[Tensor, list[Tensor]]:
        """The cosine, and what each of the modules gave (or took) on the way to it, in its graph."""
        kept: dict[int, Tensor] = {}
        handles = []
        for index, module in enumerate(modules):

            def keep(_module, taken, given, index=index):
                value = taken[0] if inputs else given
                kept[index] = value[1] if isinstance(value, tuple) else value

            handles.append(module.register_forward_hook(keep))
        cosine = self.cosine()
        for handle in handles:
            handle.remove()
        return cosine, [kept[index] for index in range(len(modules))]

    def attended(self) -> tuple[Tensor, list[Tensor]]:
        """The cosine, and each block's attention map, [1, heads, tokens, tokens]."""
        return self.recorded([layer.self_attn for layer in self.layers])


@contextmanager
def hooked(module: nn.Module, hook: Callable) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def plains(small_clip, encoder) -> dict[str, Plain]:
    return {side: Plain(small_clip, encoder, side) for side in ("image", "text")}


def explained(method: Method, encoder: DualEncoder, plain: Plain) -> Attribution:
    request = Request(pixels=plain.pixels[0], phrases=[PHRASE], seeds=[SEED])
    return method.explain_batch(encoder, [request])[0][0]


def assert_is(method: Method, encoder: DualEncoder, plain: Plain, expected: Tensor) -> None:
    """Compare a method's heat with that of all tokens, as the plain form gives it, within 0.2 % of the map's range."""
    explanation = explained(method, encoder, plain)
    if plain.side == "image":
        found, wanted = explanation.heat.flatten(), expected[1:].detach()
    else:
        found = torch.tensor([value for _, value in explanation.words])
        words = plain.tokens.words[0]
        wanted = torch.stack([sum(expected[index] for index in members) for _, members in words]).detach()
    spread = float(wanted.max() - wanted.min())
    assert spread > 1e-3 * float(wanted.abs().max()), "a flat map would match any other"
    torch.testing.assert_close(found, wanted, atol=2e-3 * spread, rtol=0)


@pytest.mark.parametrize("side", SIDES)
def test_nib_is_the_integral_of_gradients_at_a_replaced_block(side, plains, encoder) -> None:
    plain, layer, steps = plains[side], 1, 4
    _, (hidden,) = plain.recorded([plain.layers[layer]])
    hidden, total = hidden.detach(), torch.zeros_like(hidden)
    for step in range(1, steps + 1):
        x = (hidden * step / steps).requires_grad_()
        with plain.replaced(layer, x):
            total += torch.autograd.grad(plain.cosine(), x)[0]
    method = NIB(steps=steps, image_layer=layer, text_layer=layer)
    assert_is(method, encoder, plain, (hidden * total / steps).sum(-1)[0].detach())


@pytest.mark.parametrize("side", SIDES)
def test_iba_is_a_bottleneck_with_noise_like_the_hidden_state(side, plains, encoder) -> None:
    plain, layer = plains[side], 1
    settings = BottleneckSettings(beta=2.0, steps=3, samples=2)
    _, (hidden,) = plain.recorded([plain.layers[layer]])
    hidden = hidden.detach()
    mean, spread = hidden.mean(1, keepdim=True), hidden.std(1, keepdim=True, correction=0).clamp_min(0.01)
    generator = torch.Generator().manual_seed(2 * SEED + (side == "text"))
    alpha = torch.full_like(hidden, settings.initial, requires_grad=True)
    optimiser = torch.optim.Adam([alpha], lr=settings.learning_rate)
    heat = torch.zeros(hidden.shape[1])
    for _ in range(settings.steps):
        lam = torch.sigmoid(alpha)
        noises = torch.empty(settings.samples, *hidden.shape[1:]).normal_(generator=generator)
        fits = []
        for noise in noises:
            with plain.replaced(layer, lam * hidden + (1 - lam) * (mean + spread * noise)):
                fits.append(plain.cosine())
        kept = torch.distributions.Normal(lam * hidden + (1 - lam) * mean, (1 - lam) * spread)
        capacity = torch.distributions.kl_divergence(kept, torch.distributions.Normal(mean, spread))
        (settings.beta * capacity.mean() - torch.stack(fits).mean()).backward(inputs=[alpha])
        optimiser.step()
        optimiser.zero_grad()
        heat = capacity.detach().sum(-1)[0]
    explanation = explained(IBA(settings, image_layer=layer, text_layer=layer), encoder, plain)
    if side == "image":
        torch.testing.assert_close(explanation.heat.flatten(), heat[1:], atol=1e-2, rtol=1e-3)
    else:
        of_words = [sum(float(heat[index]) for index in members) for _, members in plain.tokens.words[0]]
        assert [value for _, value in explanation.words] == pytest.approx(of_words, rel=1e-3, abs=1e-2)


def test_grad_cam_weighs_features_by_their_mean_gradient(plains, encoder) -> None:
    plain = plains["image"]
    cosine, (hidden,) = plain.recorded([plain.layers[DEPTH - 2]])
    gradient = torch.autograd.grad(cosine, hidden)[0][0]
    hidden = hidden.detach()
    heat = [max(0.0, float(gradient[1:].mean(0) @ token)) for token in hidden[0]]
    assert_is(GradCAM(), encoder, plain, torch.tensor(heat))


@pytest.mark.parametrize("side", SIDES)
def test_grad_eclip_weighs_the_last_values(side, plains, encoder) -> None:
    plain = plains[side]
    attention = plain.layers[-1].self_attn
    cosine, (mixed,) = plain.recorded([attention.out_proj], inputs=True)
    gradient = torch.autograd.grad(cosine, mixed)[0][0, plain.pooled]
    _, (query, key, value) = plain.recorded([attention.q_proj, attention.k_proj, attention.v_proj])
    query, key, value = query.detach(), key.detach(), value.detach()
    out = attention.out_proj
    content = range(1, 17) if side == "image" else range(1, key.shape[1] - 1)
    with torch.no_grad():
        asked = out(query[0, plain.pooled])
        alike = {p: float(cosine_similarity(asked, out(key[0, p]), dim=0)) for p in content}
    low, high = min(alike.values()), max(alike.values())
    heat = torch.zeros(key.shape[1])
    for p in content:
        heat[p] = max(0.0, float(gradient @ value[0, p]) * (alike[p] - low) / (high - low))
    assert_is(GradECLIP(), encoder, plain, heat)


@pytest.mark.parametrize("blocks", [pytest.param(1, id="the last"), pytest.param(3, id="all three")])
@pytest.mark.parametrize("side", SIDES)
def test_chefer_carries_relevance_through_the_last_blocks(side, blocks, plains, encoder) -> None:
    plain = plains[side]
    cosine, maps = plain.attended()
    gradients = torch.autograd.grad(cosine, maps[-blocks:])
    relevance = torch.eye(maps[0].shape[-1])
    for weights, gradient in zip(maps[-blocks:], gradients, strict=True):
        relevance = relevance + (weights * gradient)[0].clamp(min=0).mean(0).detach() @ relevance
    assert_is(Chefer(image_blocks=blocks, text_blocks=blocks), encoder, plain, relevance[plain.pooled])


@pytest.mark.parametrize("pool", list(LeGradPool))
@pytest.mark.parametrize("blocks", [pytest.param(2, id="the last two"), pytest.param(DEPTH, id="all")])
@pytest.mark.parametrize("side", SIDES)
def test_legrad_sums_what_each_block_gains_by_its_own_attention(side, blocks, pool, plains, encoder) -> None:
    plain = plains[side]
    _, recorded = plain.recorded([*plain.layers, *(layer.self_attn for layer in plain.layers)])
    outputs, maps = recorded[:DEPTH], recorded[DEPTH:]
    heat = torch.zeros(maps[0].shape[-1])
    for number in range(DEPTH - blocks, DEPTH):
        output = outputs[number]
        read = output.mean(1, keepdim=True) if pool is LeGradPool.MEAN else output
        fit = cosine_similarity(plain.head(read), plain.target)[0]
        (gradient,) = torch.autograd.grad(fit, maps[number], retain_graph=True)
        heat += gradient[0].clamp(min=0).mean((0, 1))
    assert_is(LeGrad(image_blocks=blocks, text_blocks=blocks, pool=pool), encoder, plain, heat)


def test_rollout_multiplies_mean_attention_with_half_an_identity(plains, encoder) -> None:
    plain = plains["image"]
    _, maps = plain.attended()
    relevance = torch.eye(17)
    for weights in maps:
        relevance = (0.5 * weights[0].mean(0) + 0.5 * torch.eye(17)).detach() @ relevance
    torch.testing.assert_close(relevance.sum(1), torch.ones(17))
    assert_is(Rollout(), encoder, plain, relevance[0])


def test_patch_similarity_projects_each_patch(plains, encoder) -> None:
    plain = plains["image"]
    with torch.no_grad():
        tokens = plain.model.vision_model(plain.pixels).last_hidden_state
        heat = torch.stack([cosine_similarity(plain.head(token[None, None]), plain.target)[0] for token in tokens[0]])
    assert_is(PatchSimilarity(), encoder, plain, heat)


def test_saliency_is_the_gradient_of_the_pixels_and_of_the_embeddings(plains, encoder) -> None:
    image, text = plains["image"], plains["text"]
    pixels = image.pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cosine_similarity(image.image(pixels), image.target)[0], pixels)
    size = gradient[0].abs().max(0).values
    cells = [size[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] for row in range(4) for column in range(4)]
    assert_is(Saliency(), encoder, image, torch.stack([torch.zeros(()), *(cell.mean() for cell in cells)]))
    cosine, (embedded,) = text.recorded([text.embeddings])
    (gradient,) = torch.autograd.grad(cosine, embedded)
    assert_is(Saliency(), encoder, text, gradient[0].pow(2).sum(-1).sqrt())


def test_rise_is_the_mean_cosine_of_the_masks_that_show_a_pixel(plains, encoder) -> None:
    plain, count, cells = plains["image"], 12, 3
    masks = random_masks(count, cells, 0.4, size=SIZE, generator=torch.Generator().manual_seed(SEED))
    weighted, total = torch.zeros(SIZE, SIZE), torch.zeros(SIZE, SIZE)
    for mask in masks:
        with torch.no_grad():
            cosine = cosine_similarity(plain.image(plain.pixels * mask), plain.target)[0]
        weighted, total = weighted + cosine * mask, total + mask
    heat = [
        weighted[16 * row : 16 * row + 16, 16 * column : 16 * column + 16].sum()
        / total[16 * row : 16 * row + 16, 16 * column : 16 * column + 16].sum()
        for row in range(4)
        for column in range(4)
    ]
    method = RISE(masks=count, cells=cells, open_share=0.4)
    assert_is(method, encoder, plain, torch.stack([torch.zeros(()), *heat]))


def test_kernel_shap_of_four_cells_is_the_definition_on_the_model(plains, encoder) -> None:
    plain, half = plains["image"], SIZE // 2

    def worth(members: frozenset[int]) -> float:
        mask = torch.zeros(SIZE, SIZE)
        for cell in members:
            row, column = divmod(cell, 2)
            mask[half * row : half * row + half, half * column : half * column + half] = 1
        with torch.no_grad():
            return float(cosine_similarity(plain.image(plain.pixels * mask), plain.target)[0])

    values = torch.tensor(shapley_by_definition(worth, 4)).view(2, 2)
    heat = values.repeat_interleave(2, 0).repeat_interleave(2, 1).flatten()
    assert_is(KernelSHAP(cells=2, coalitions=20), encoder, plain, torch.cat([torch.zeros(1), heat]))


KNOBS = [
    pytest.param(NIB(image_layer=1), NIB(image_layer=1, steps=3), id="nib steps"),
    pytest.param(NIB(image_layer=0), NIB(image_layer=1), id="nib image layer"),
    pytest.param(NIB(text_layer=0), NIB(text_layer=1), id="nib text layer"),
    pytest.param(IBA(image_layer=0), IBA(image_layer=1), id="iba image layer"),
    pytest.param(IBA(text_layer=0), IBA(text_layer=1), id="iba text layer"),
    pytest.param(IBA(), IBA(BottleneckSettings(beta=0.1)), id="iba settings"),
    pytest.param(Chefer(), Chefer(image_blocks=2), id="chefer image blocks"),
    pytest.param(Chefer(), Chefer(text_blocks=2), id="chefer text blocks"),
    pytest.param(LeGrad(), LeGrad(image_blocks=1), id="legrad image blocks"),
    pytest.param(LeGrad(), LeGrad(text_blocks=1), id="legrad text blocks"),
    pytest.param(LeGrad(), LeGrad(pool=LeGradPool.OWN), id="legrad pool"),
    pytest.param(GradCAM(), GradCAM(image_layer=0), id="grad cam layer"),
    pytest.param(GradECLIP(), GradECLIP(image_layer=1), id="grad eclip image layer"),
    pytest.param(GradECLIP(), GradECLIP(text_layer=1), id="grad eclip text layer"),
    pytest.param(Rollout(), Rollout(image_blocks=1), id="rollout blocks"),
    pytest.param(PatchSimilarity(), PatchSimilarity(image_layer=0), id="patch similarity layer"),
    pytest.param(RISE(masks=9), RISE(masks=10), id="rise masks"),
    pytest.param(RISE(masks=9), RISE(masks=9, cells=4), id="rise cells"),
    pytest.param(RISE(masks=9), RISE(masks=9, open_share=0.3), id="rise open share"),
    pytest.param(KernelSHAP(coalitions=20), KernelSHAP(coalitions=30), id="kernel shap coalitions"),
    pytest.param(KernelSHAP(coalitions=20), KernelSHAP(coalitions=20, cells=3), id="kernel shap cells"),
]


@pytest.mark.parametrize(("one", "other"), KNOBS)
def test_every_number_of_a_method_changes_its_maps_and_what_it_says_of_itself(one, other, plains, encoder) -> None:
    assert one.hyperparameters(encoder) != other.hyperparameters(encoder)
    left, right = (explained(method, encoder, plains["image"]) for method in (one, other))
    assert not torch.equal(left.heat, right.heat) or left.words != right.words


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: NIB(steps=0), id="nib without steps"),
        pytest.param(lambda: Chefer(image_blocks=0), id="chefer without image blocks"),
        pytest.param(lambda: Chefer(text_blocks=0), id="chefer without text blocks"),
        pytest.param(lambda: LeGrad(image_blocks=0), id="legrad without image blocks"),
        pytest.param(lambda: LeGrad(text_blocks=0), id="legrad without text blocks"),
        pytest.param(lambda: Rollout(image_blocks=0), id="rollout without blocks"),
        pytest.param(lambda: RISE(masks=0), id="rise without masks"),
        pytest.param(lambda: RISE(open_share=1.0), id="rise with all open"),
        pytest.param(lambda: KernelSHAP(cells=1), id="kernel shap of one player"),
        pytest.param(lambda: KernelSHAP(coalitions=1), id="kernel shap of one coalition"),
    ],
)
def test_numbers_that_make_no_method_are_refused(make) -> None:
    with pytest.raises(ValueError, match="needs"):
        make()


def test_m2ib_says_its_numbers_like_the_others(encoder) -> None:
    numbers = M2IB(BottleneckSettings(beta=0.5), image_layer=1).hyperparameters(encoder)
    assert (numbers["beta"], numbers["image_layer"]) == (0.5, 1)
