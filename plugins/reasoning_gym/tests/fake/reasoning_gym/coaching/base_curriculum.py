"""The parts of the package's curricula that are used."""

RangeAttributeMode = str


class DefaultCurriculumContext:
    def __init__(self, mode):
        self.mode = mode
