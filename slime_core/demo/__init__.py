"""``slime demo``: a small model, a cold start and a run whose reward climbs, on two CPU cores."""
