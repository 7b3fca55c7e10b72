"""Slicer's module ``slicer.parameterNodeWrapper``: typed access to a parameter node, and its binding to widgets.

Values lie in the node under the names and in the texts that Slicer uses, so that a scene saved by one is read by the
other. Imitated are str, int, float, bool, paths, nodes, enumerations, lists of these, and unions.
"""

from .connectors import createGuiConnector
from .validators import Choice, Default, Exclude, Maximum, Minimum, Validator, WithinRange
from .wrapper import (
    SlicerParameterNamePropertyName,
    findChildWidgetForParameter,
    isParameterNodeWrapper,
    parameterNodeWrapper,
)

__all__ = [
    "Choice",
    "Default",
    "Exclude",
    "Maximum",
    "Minimum",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "createGuiConnector",
    "findChildWidgetForParameter",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
]
