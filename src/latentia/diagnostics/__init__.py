"""Checks of the doctor, one file for each subject: data, training, latents, GANs, priors."""
