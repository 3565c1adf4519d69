"""Guards the forms that take a password: how often somebody may try, and how many passwords are hashed at once."""
