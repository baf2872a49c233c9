"""Contrastive losses on unit-length embeddings and fixed class prototypes, as pure functions."""

from anamnesis.methods.contrastive.cosines import Cosines
from anamnesis.methods.contrastive.focal_contrast import ContrastOptions, FocalContrast, focal_contrast
from anamnesis.methods.contrastive.relation_distillation import (
    RelationOptions,
    instance_relations,
    prototype_relations,
    relation_balance,
)

__all__ = [
    "ContrastOptions",
    "Cosines",
    "FocalContrast",
    "RelationOptions",
    "focal_contrast",
    "instance_relations",
    "prototype_relations",
    "relation_balance",
]
