"""What RISSOLE learns before its diffusion: a VQ-GAN, the pixels themselves, or a file of weights."""
