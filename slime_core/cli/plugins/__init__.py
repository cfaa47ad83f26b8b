"""``slime plugins``: look after installed plugins. Works however broken they are."""
