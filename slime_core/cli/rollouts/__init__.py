"""``slime rollouts``: reads the saved rollouts of a run."""
