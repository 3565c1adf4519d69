"""Static files under names with a hash, once they have been collected."""

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]


class CollectedStaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # no type information
    """WhiteNoise's storage, which also works before `collectstatic` has ever run: with the plain names."""

    def stored_name(self, name: str) -> str:
        """The name with the hash, or the name itself where nothing was collected."""
        return str(super().stored_name(name)) if self.hashed_files else name
