"""Vocabulary adaptation of language models with Learned Embedding Propagation."""
