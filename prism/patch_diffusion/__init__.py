"""Patch diffusion, the one method behind PatchD, RAG, ST + RAG and PRISM."""
