"""The text tower: a causal transformer, pooled where the text ends (Radford et al. 2021, section 2.4)."""

import torch
from torch import Tensor, nn

from diptych.model.attention import LayerNorm, Transformer
from diptych.model.config import Activation, TextConfig


class TextTransformer(nn.Module):
    """Token ids in, one vector out: the end token's, normalised and projected."""

    def __init__(self, config: TextConfig, embed_dim: int, activation: Activation) -> None:
        super().__init__()
        self.config = config
        # Given its memory it does not draw its weights: on the meta device that imports torch's compiler, for 1.3 s.
        empty = torch.empty(config.vocab_size, config.width)
        self.token_embedding = nn.Embedding(config.vocab_size, config.width, _weight=empty)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.transformer = Transformer(
            config.width,
            config.layers,
            config.heads,
            mlp_ratio=config.mlp_ratio,
            activation=activation,
            is_causal=True,
        )
        self.ln_final = LayerNorm(config.width)
        self.text_projection = nn.Parameter(torch.empty(config.width, embed_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) token ids, L up to the context length, to (B, E), not unit length."""
        return self.pooled(tokens) @ self.text_projection

    def pooled(self, tokens: Tensor) -> Tensor:
        """(B, L) token ids to (B, D): the end token after the final norm, before the projection.

        Attention is causal, so what follows the last end token of the batch changes nothing and is not computed.
        """
        ends = self.end_positions(tokens)
        tokens = tokens[:, : int(ends.max()) + 1]
        return self.pooled_embeddings(self.token_embedding(tokens), ends)

    def pooled_embeddings(self, x: Tensor, ends: Tensor) -> Tensor:
        """(B, L, D) token embeddings without positions, and where their (B,) texts end, to (B, D) as `pooled`."""
        x = x + self.positional_embedding[: x.shape[1]]
        x = x.to(self.text_projection.dtype)
        return self.ln_final(self.transformer.pooled(x, ends))

    def end_positions(self, tokens: Tensor) -> Tensor:
        """(B, L) token ids to the (B,) positions of the first end token of each text."""
        if self.config.end_token is None:
            return tokens.argmax(dim=-1)
        return (tokens == self.config.end_token).int().argmax(dim=-1)
