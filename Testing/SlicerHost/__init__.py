"""A stand-in for the parts of 3D Slicer that its core has no wheel of: Qt, CTK, the application, scripted modules.

Real are the scene, all nodes and the modules' logics (`slicer-core`), `slicer.util`, and Qt itself (PySide6). Imitated,
after Slicer's documented behaviour, is what lies between. What is not imitated raises `NotImitated`; no value is made
up. For tests only:

>>> with SlicerHost.start() as host:
...     panel = host.load_module("SlicerMedAI/MedAISegmentation/MedAISegmentation.py")
...     panel.self().ui.applyButton.click()
"""

from .host import Host, start
from .not_imitated import NotImitated
from .person import Person, Shown, Unanswered

__all__ = ["Host", "NotImitated", "Person", "Shown", "Unanswered", "start"]
