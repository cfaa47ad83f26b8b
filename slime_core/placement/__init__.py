"""Where each process of a run lives: Ray, placement groups, actors."""
