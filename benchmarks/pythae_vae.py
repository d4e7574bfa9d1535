"""pythae's VAE on given images, for benchmarks/results.py, in a process and environment of its own.

PYTHON benchmarks/pythae_vae.py IMAGES.npz OUT --epochs 10 --latent 20 --n 10000

IMAGES.npz holds `train` and `validation`, uint8 (n, c, h, w). OUT gets normal.npy and mixture.npy,
samples as uint8: latents from N(0, I), and from ten Gaussians fitted to the training latents. The
networks are pythae's default for vectors, 784-512-latent and back.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from pythae.models import VAE, VAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.samplers import GaussianMixtureSampler, NormalSampler
from pythae.trainers import BaseTrainerConfig


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--latent", type=int, default=20)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    with np.load(given.images) as held:
        train, validation = (held[k].astype(np.float32) / 255 for k in ("train", "validation"))
    shape = train.shape[1:]
    model = VAE(VAEConfig(input_dim=shape, latent_dim=given.latent, reconstruction_loss="bce"))
    how = BaseTrainerConfig(
        output_dir=str(given.out),
        num_epochs=given.epochs,
        learning_rate=1e-3,
        per_device_train_batch_size=128,
        per_device_eval_batch_size=500,
        no_cuda=True,
        seed=0,
    )
    pipeline = TrainingPipeline(model=model, training_config=how)
    started = time.perf_counter()
    pipeline(train_data=train, eval_data=validation)
    print(f"seconds {time.perf_counter() - started:.1f}")
    normal, mixture = NormalSampler(model), GaussianMixtureSampler(model)
    mixture.fit(torch.from_numpy(train))
    for name, sampler in (("normal", normal), ("mixture", mixture)):
        images = sampler.sample(given.n).reshape(-1, *shape)
        pixels = (images * 255).round().clamp(0, 255).to(torch.uint8)
        np.save(given.out / f"{name}.npy", pixels.numpy())


if __name__ == "__main__":
    main()
