"""Train pythae's VAE for benchmarks/results.py, in an environment that has pythae.

PYTHON benchmarks/pythae_vae.py IMAGES.npz OUT --epochs 10 --latent 20 --n 10000

IMAGES.npz holds `train` and `validation`, uint8 (n, c, h, w). The script writes samples, uint8, to
OUT: normal.npy with latents from N(0, I), mixture.npy with latents from ten Gaussians fitted to the
training latents. The networks are pythae's default for vectors, 784-512-latent and back.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--latent", type=int, default=20)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    from pythae.models import VAE, VAEConfig
    from pythae.pipelines import TrainingPipeline
    from pythae.samplers import GaussianMixtureSampler, NormalSampler
    from pythae.trainers import BaseTrainerConfig

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    with np.load(args.images) as arrays:
        train, validation = (arrays[k].astype(np.float32) / 255 for k in ("train", "validation"))
    shape = train.shape[1:]
    model = VAE(VAEConfig(input_dim=shape, latent_dim=args.latent, reconstruction_loss="bce"))
    trainer_config = BaseTrainerConfig(
        output_dir=str(args.out),
        num_epochs=args.epochs,
        learning_rate=1e-3,
        per_device_train_batch_size=128,
        per_device_eval_batch_size=500,
        no_cuda=True,
        seed=0,
    )
    pipeline = TrainingPipeline(model=model, training_config=trainer_config)
    start = time.perf_counter()
    pipeline(train_data=train, eval_data=validation)
    print(f"seconds {time.perf_counter() - start:.1f}")
    normal, mixture = NormalSampler(model), GaussianMixtureSampler(model)
    mixture.fit(torch.from_numpy(train))
    for name, sampler in (("normal", normal), ("mixture", mixture)):
        images = sampler.sample(args.n).reshape(-1, *shape)
        pixels = (images * 255).round().clamp(0, 255).to(torch.uint8)
        np.save(args.out / f"{name}.npy", pixels.numpy())


if __name__ == "__main__":
    main()
