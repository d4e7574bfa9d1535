"""Details that decoded images lack, learned by a critic of patches and added to samples."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from latentia.core.contract import Player, Role, Term, Terms
from latentia.core.distributed import all_reduce_sum
from latentia.core.tensors import ImageTensor, map_chunks, to_float32, to_float64
from latentia.losses.adversarial import NonSaturating, with_known_gradient
from latentia.nets.critic import SpectralPatchCritic
from latentia.nets.refiner import Refiner

CHANNELS = 24, 48, 96  # of the critic, whose patches have 20 pixels a side
SHARE = 0.25  # of each batch, so that a step takes a third longer
# Norm of the adversarial gradient over that of the squared error's, at the refined images. After
# 1,600 steps on CIFAR-10 the kernel distance of refined reconstructions was 286 at 0.7 and 269 at 1
# (1,339 without, 81 of real images), the squared error 1.28 and 1.35 times as large as without.
GRADIENT_RATIO = 0.7


class Pair(NamedTuple):
    """Some images of a batch and what a decoder makes of them, without its graph.

    batch_size: number of all images of the batch
    """

    images: ImageTensor
    decoded: ImageTensor
    batch_size: int

    def spread_terms(self, terms: Terms) -> Terms:
        """Return terms of the whole batch with the same means; other images have a value of 0."""
        factor, gap = self.batch_size / len(self.images), self.batch_size - len(self.images)
        return {k: t._replace(value=F.pad(factor * t.value, (0, gap))) for k, t in terms.items()}


class Sharpener(nn.Module):
    """A refiner of decoded images, and the critic that teaches it.

    A squared error makes decoded images blurred: they are means of all images with these latents.
    The critic tells patches of real images from those of refined ones (Isola et al. 2017, arXiv
    1611.07004), and the refiner descends the critic's loss and its squared error. Neither reaches
    the model that decodes, whose losses and likelihood stay what they are.

    Parameters
    ----------
    image_shape : (int, int, int)
        channels, height, width
    """

    def __init__(self, image_shape: tuple[int, ...]):
        super().__init__()
        self.refiner, self.critic = Refiner(image_shape), SpectralPatchCritic(image_shape, CHANNELS)
        self.loss = NonSaturating({"refined": 1.0})

    def make_players(self) -> dict[str, Player]:
        """Return the critic and the refiner; what `Model.shared` returns has a `pair`."""

        def play(module: nn.Module, get_terms: Callable[[Pair], Terms]) -> Player:
            return Player(module, lambda batch, context, shared: get_terms(shared.pair))

        return {
            "critic": play(self.critic, self.critic_terms),
            "refiner": play(self.refiner, self.refiner_terms),
        }

    def critic_terms(self, pair: Pair) -> Terms:
        with torch.no_grad():
            refined = self.refiner(pair.decoded)
        logits = self.critic(torch.cat([pair.images, refined]))
        return pair.spread_terms(self.loss.critic_terms(*logits.chunk(2)))

    def refiner_terms(self, pair: Pair) -> Terms:
        refined = self.refiner(pair.decoded)
        leaf = refined.detach().requires_grad_()
        error = 0.5 * to_float32(leaf - pair.images).square().flatten(1).sum(1)
        adversarial = self.loss.generator_loss(None, self.critic(leaf))
        values = error, adversarial
        gradients = [torch.autograd.grad(value.sum(), leaf)[0] for value in values]
        squares = torch.stack([to_float64(each).square().sum() for each in gradients])
        norms = all_reduce_sum(squares).sqrt()  # over the batch of all processes
        weight = GRADIENT_RATIO * norms[0] / norms[1].clamp_min(1e-12)
        error, adversarial = (
            with_known_gradient(value, [refined], [gradient])
            for value, gradient in zip(values, gradients, strict=True)
        )
        terms = {"error": Term(1.0, error, Role.PENALTY)}
        terms["adversarial"] = Term(weight, adversarial, Role.ADVERSARIAL)
        return pair.spread_terms(terms)

    @torch.no_grad()
    def refine(self, images: ImageTensor) -> ImageTensor:
        """Return decoded images with details, in [0, 1]."""
        return map_chunks(self.refiner, images).clamp(0, 1)


def select_pair(images: ImageTensor, decoded: ImageTensor) -> Pair:
    """Return the first quarter of a batch; decoded: without its graph."""
    n = max(1, round(SHARE * len(images)))
    return Pair(images[:n], decoded[:n], len(images))
