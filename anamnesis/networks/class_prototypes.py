"""Fixed class prototypes at the vertices of a simplex equiangular tight frame.

All pairs of K unit vectors have the cosine -1/(K - 1), the least that K vectors can share: the geometry that class
means reach when a classifier is trained to the end (neural collapse, Papyan, Han and Donoho, PNAS 2020).
"""

import math

import torch
from torch import Tensor, nn

from anamnesis.records import InputError


def simplex_frame(count: int, dimension: int, generator: torch.Generator) -> Tensor:
    """Returns the vertices of a randomly turned simplex equiangular tight frame: [count, dimension] in float64.

    sqrt(K / (K - 1)) times an orthonormal basis of the complement of (1, ..., 1) in R^K, turned into R^d.

    Args:
        count: K, number of unit vectors.
        dimension: d.
        generator: of the rotation, on the processor.

    Raises:
        InputError: there is no such frame: K is below 2, or above d + 1.
    """
    if not 2 <= count <= dimension + 1:
        raise InputError(
            f"class prototypes: expected 2 to {dimension + 1} prototypes in {dimension} dimensions, the most with "
            f"equal angles, found {count}; set the dimension to {max(count - 1, 1)} or more, and 2 or more prototypes"
        )
    ones_first = torch.eye(count, dtype=torch.float64).roll(1, dims=1)
    ones_first[:, 0] = 1.0
    complement = torch.linalg.qr(ones_first).Q[:, 1:]
    random_matrix = torch.randn(dimension, count - 1, dtype=torch.float64, generator=generator)
    rotation = torch.linalg.qr(random_matrix).Q
    vertices: Tensor = math.sqrt(count / (count - 1)) * complement @ rotation.T
    return vertices


class ClassPrototypes(nn.Module):
    """The vertex of each class, of more vertices than classes, so that a new class moves no other one.

    Vertices never learn, and are float32 in every precision: in bfloat16 the rounding is a tenth of a small cosine.

    Attributes:
        frame: [vertices, d] unit vectors.
        vertex_of_class: [K] the vertex of each column of the logits.
    """

    frame: Tensor
    vertex_of_class: Tensor

    def __init__(self, count: int, dimension: int, seed: int) -> None:
        super().__init__()
        self.register_buffer("frame", simplex_frame(count, dimension, torch.Generator().manual_seed(seed)).float())
        self.register_buffer("vertex_of_class", torch.zeros(0, dtype=torch.long))

    @property
    def classes(self) -> int:
        """Number of classes that have a vertex."""
        return len(self.vertex_of_class)

    def grow(self, classes: int) -> None:
        """Gives each new class the first free vertex, up to ``classes`` classes.

        Raises:
            InputError: there are fewer vertices than classes.
        """
        if classes > len(self.frame):
            raise InputError(
                f"class prototypes: expected one for each of {classes} classes, found {len(self.frame)}; create a new "
                "ContinualModel with more prototypes"
            )
        is_free = torch.ones(len(self.frame), dtype=torch.bool, device=self.frame.device)
        is_free[self.vertex_of_class] = False
        new_vertices = is_free.nonzero()[: max(0, classes - self.classes), 0]
        self.vertex_of_class = torch.cat([self.vertex_of_class, new_vertices])

    def keep(self, columns: tuple[int, ...]) -> None:
        """Keeps the classes ``columns`` alone, each with its vertex; the vertices of the others are free."""
        self.vertex_of_class = self.vertex_of_class[[column for column in columns if column < self.classes]]

    def resize(self, classes: int) -> None:
        """Gives the module the shape for ``classes`` classes, before its state is loaded."""
        self.vertex_of_class = torch.zeros(classes, dtype=torch.long, device=self.frame.device)

    def select_vertices(self, columns: tuple[int, ...]) -> Tensor:
        """Returns [vertices], whether each is that of a class in ``columns``; the shape never changes."""
        is_selected = torch.zeros(len(self.frame), dtype=torch.bool, device=self.frame.device)
        is_selected[self.vertex_of_class[list(columns)]] = True
        return is_selected
