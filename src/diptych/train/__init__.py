"""Contrastive pretraining and fine-tuning: one run from a config, exact to the bit when it is stopped and resumed."""
