"""Forms of the chat pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from clubhouse.accounts.services import clean_line
from clubhouse.chat.models import Room


class LineField(forms.CharField):
    """A text on one line, without invisible characters."""

    def clean(self, value: Any) -> str:
        """Return the cleaned text."""
        return str(super().clean(clean_line(value or "")))


class RoomForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """Describes a new room."""

    name = LineField(
        label=_("Name"), max_length=60, error_messages={"unique": _("A room with this name already exists.")}
    )
    topic = LineField(
        label=_("Topic"), max_length=200, required=False, help_text=_("What the room is about, in a sentence.")
    )

    class Meta:
        """The fields that its creator fills in."""

        model = Room
        fields = ("name", "topic")
