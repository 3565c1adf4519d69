"""A small Django project on Hotclub, with views that do to it what a test needs done. `python -m` runs its commands."""
