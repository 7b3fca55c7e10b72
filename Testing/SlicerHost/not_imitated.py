"""What the stand-in says when asked for something it does not have."""


class NotImitated(AttributeError):
    """Raised for everything of Slicer, Qt or CTK that the stand-in does not offer.

    It is an `AttributeError`, so that `hasattr` and `getattr` with a default answer as they do for a missing name.

    Parameters
    ----------
    name : str
        Dotted name that was asked for, such as ``slicer.app.layoutManager``.
    why : str, optional
        A sentence on why it is missing or what to use instead.
    """

    def __init__(self, name: str, why: str = "") -> None:
        super().__init__(f"{name} is not imitated by Testing/SlicerHost. {why}".rstrip())
        self.name = name
