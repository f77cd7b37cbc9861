"""The model: two towers that read like the paper. Floor 1; imports torch, but for `config` and `presets`."""
