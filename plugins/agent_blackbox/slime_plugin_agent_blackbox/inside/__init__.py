"""Programs that run in processes of their own: none of them imports anything of this package."""
