"""Graphs that are rewritten a thousand times while a program is lowered, without the work that nobody looks at.

Every rewriting writes the graph down as Python, which only a call of it would need; XNNPACK's search for linear layers prints
it, for a log that is off; and after each part that XNNPACK takes all nodes are sorted anew, also where they stand in order:
that alone grew with the square of the number of layers.
"""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.fx import GraphModule


def write_when_called() -> None:
    """In this process, which lowers one program, a graph is written down when it is called, and never printed."""
    from torch.fx import GraphModule
    from torch.fx.graph import _PyTreeCodeGen

    write = GraphModule.recompile

    def called(self: GraphModule, *arguments: object, **named: object) -> Any:
        write(self)
        return self(*arguments, **named)

    def later(self: GraphModule) -> None:
        shape = self.graph._codegen
        if isinstance(shape, _PyTreeCodeGen):
            self._in_spec, self._out_spec = shape.pytree_info.in_spec, shape.pytree_info.out_spec
        type(self).forward = called

    def code(self: GraphModule) -> str:
        if type(self).forward is called:
            write(self)
        return self._code

    GraphModule.recompile = later  # pyright: ignore[reportAttributeAccessIssue] - nobody here reads what it gives back
    GraphModule.code = property(code)  # pyright: ignore[reportAttributeAccessIssue]
    GraphModule.print_readable = lambda self, *_, **__: ""
    GraphModule.__str__ = lambda self: type(self).__name__


def keep_order() -> None:
    """In this process, the nodes of a graph are sorted only where they are out of order."""
    from executorch.exir import lowered_backend_module

    sort = lowered_backend_module.legalize_graph
    lowered_backend_module.legalize_graph = lambda module: module if in_order(module) else sort(module)


def in_order(module: GraphModule) -> bool:
    """Whether every node stands behind those it reads."""
    seen: set[object] = set()
    for node in module.graph.nodes:
        if not seen.issuperset(node.all_input_nodes):
            return False
        seen.add(node)
    return True
