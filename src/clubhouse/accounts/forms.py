"""Forms of the account pages."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import PasswordChangeForm, UserCreationForm
from django.utils.translation import gettext_lazy as _

from clubhouse.accounts.models import User
from clubhouse.accounts.text import clean_line


class DisplayNameField(forms.CharField):
    """One visible line of at most 50 characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 50, "required": False, **options})

    def clean(self, value: Any) -> str:
        """The name as it will be shown."""
        return str(super().clean(clean_line(value or "")))


class SignUpForm(UserCreationForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A new account: user name, display name and password."""

    display_name = DisplayNameField(label=_("Display name"), help_text=_("What others see. You can change it later."))

    class Meta(UserCreationForm.Meta):
        """The site's user."""

        model = User
        fields = ("username", "display_name")


class PasswordForm(PasswordChangeForm):
    """A new password. Stands below another form, so it does not draw the focus to itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """How one is shown, and how one sees the site."""

    display_name = DisplayNameField(label=_("Display name"), help_text=_("Empty means your user name."))
    language = forms.ChoiceField(label=_("Language"), required=False)

    class Meta:
        """What the settings page changes."""

        model = User
        fields = ("display_name", "language", "theme")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        language = self.fields["language"]
        assert isinstance(language, forms.ChoiceField)
        language.choices = [
            ("", _("Like the browser")),
            # Each in its own language: a person who cannot read the page must find theirs.
            *settings.LANGUAGES,
        ]
