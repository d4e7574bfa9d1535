"""What every room shares: contract, Gaussians, schedules, seeding. Torch, NumPy, jaxtyping only."""
