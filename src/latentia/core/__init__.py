"""What every package uses: contract, Gaussians, schedules, seeding, checks of parameters."""
