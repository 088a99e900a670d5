"""What every emulator's control side refuses with."""


class ControlError(ValueError):
    """A request to the control side that makes no sense (an unknown room, a button that is not there)."""
