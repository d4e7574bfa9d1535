"""What every room shares: the contract, Gaussians, schedules, seeding. Torch and jaxtyping only."""
