"""Forms of the account pages."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import PasswordChangeForm, UserCreationForm
from django.utils.translation import gettext_lazy as _

from clubhouse.accounts.guard import limits
from clubhouse.accounts.guard.attempts import password_tries
from clubhouse.accounts.models import User
from clubhouse.accounts.text import clean_line


class DisplayNameField(forms.CharField):
    """A name on one line, without invisible characters, of at most 50 characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 50, "required": False, **options})

    def clean(self, value: Any) -> str:
        """Return the cleaned name, "" when it is empty."""
        return str(super().clean(clean_line(value or "")))


class SignUpForm(UserCreationForm):  # type: ignore[type-arg]  # generic in the stubs only
    """Creates an account from a user name, a display name and a password."""

    display_name = DisplayNameField(label=_("Display name"), help_text=_("What others see. You can change it later."))

    class Meta(UserCreationForm.Meta):
        """The fields of the site's user."""

        model = User
        fields = ("username", "display_name")


class PasswordForm(PasswordChangeForm):
    """Changes the password. The settings page shows it below another form, so it takes no focus when the page opens."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)

    def clean_old_password(self) -> str:
        """Check the old password, with as many tries as a log-in has: a thief of the session must not guess it.

        Raises:
            TooManyAttempts: it was wrong too often.
        """
        tries = password_tries(str(self.user.pk))
        limits.take(tries)
        old_password: str = super().clean_old_password()
        limits.give_back(tries)
        return old_password


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """Changes the display name, the language and the theme of an account."""

    display_name = DisplayNameField(label=_("Display name"), help_text=_("Empty means your user name."))
    language = forms.ChoiceField(label=_("Language"), required=False)

    class Meta:
        """The fields that the settings page shows."""

        model = User
        fields = ("display_name", "language", "theme")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        language = self.fields["language"]
        assert isinstance(language, forms.ChoiceField)
        language.choices = [
            ("", _("Same as the browser")),
            # Each name is in its own language, for people who cannot read the page.
            *settings.LANGUAGES,
        ]
