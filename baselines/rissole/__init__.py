"""RISSOLE (arXiv:2408.17095): diffusion of latent blocks, guided by the same block of retrieved latents."""
