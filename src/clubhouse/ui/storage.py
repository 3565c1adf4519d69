"""The storage of static files."""

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]


class CollectedStaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # no type information
    """WhiteNoise's storage of files with a hash in their names. Before the first `collectstatic` names have no hash."""

    def stored_name(self, name: str) -> str:
        """Return the name with its hash, or the name itself when no files have been collected."""
        return str(super().stored_name(name)) if self.hashed_files else name
