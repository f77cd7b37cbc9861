"""How well a model does: zero-shot accuracy and retrieval recall of any encoder on any source of pairs."""
