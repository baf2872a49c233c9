"""Pretrained backbones: a catalogue, their files, and the YAML that names them in a model."""
