"""Which nodes a node selector offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class NodeFilter:
    """The rules of qMRMLSortFilterProxyModel that selectors expose.

    Attributes
    ----------
    node_types : tuple of str
        Class names; none of them means no node at all.
    show_child_types : bool
        Whether derived classes count.
    hidden_child_types : tuple of str
        Derived classes that do not.
    show_hidden : bool
        Whether nodes that are hidden from editors count.
    attributes : dict
        ``(node type, name)`` to the value a node of that type must have; None for any value.
    """

    node_types: tuple[str, ...] = ()
    show_child_types: bool = True
    hidden_child_types: tuple[str, ...] = ()
    show_hidden: bool = False
    attributes: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def accepts(self, node: Any) -> bool:
        """Whether this node is offered."""
        if node.GetHideFromEditors() and not self.show_hidden:
            return False
        if any(node.IsA(hidden) for hidden in self.hidden_child_types):
            return False
        return any(self._fits(node, kind) for kind in self.node_types)

    def _fits(self, node: Any, kind: str) -> bool:
        if not (node.IsA(kind) if self.show_child_types else node.GetClassName() == kind):
            return False
        return all(
            node.GetAttribute(name) is not None and (value is None or node.GetAttribute(name) == value)
            for (wanted, name), value in self.attributes.items()
            if wanted == kind
        )
