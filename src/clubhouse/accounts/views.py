"""Pages to sign up, log in, log out and change settings."""

from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.contrib.messages.views import SuccessMessageMixin
from django.db import models
from django.forms import BaseModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.generic import CreateView, UpdateView, View

from clubhouse.accounts import services
from clubhouse.accounts.context_processors import THEME_COOKIE
from clubhouse.accounts.forms import PasswordForm, ProfileForm, SignUpForm
from clubhouse.accounts.guard.attempts import take_sign_up
from clubhouse.accounts.models import Theme, User
from clubhouse.accounts.names import BadName
from clubhouse.accounts.redirects import LocalRedirect, is_navigation, local_path, may_choose_target


class SignUpView(LocalRedirect, CreateView):  # type: ignore[type-arg]  # generic in the stubs only
    """Creates an account and logs it in."""

    form_class = SignUpForm
    template_name = "accounts/signup.html"
    next_page = "chat:rooms"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Count the form before it is looked at, and handle it.

        Raises:
            TooManyAttempts: the address has sent too many.
        """
        take_sign_up(request)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: "BaseModelForm[User]") -> HttpResponse:
        """Create the account, log in, and go to the page that the visitor wanted, or else to the rooms."""
        try:
            self.object = form.save()
        except BadName as taken:
            return self.form_invalid(_refused(form, taken))
        login(self.request, self.object, backend="django.contrib.auth.backends.ModelBackend")
        return HttpResponseRedirect(self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add `next`: the page that the visitor wanted, if it belongs to this site."""
        return super().get_context_data(**{"next": self.get_redirect_url(), **kwargs})


class LogInView(LocalRedirect, LoginView):
    """Logs a user in. Who is logged in already goes on to the chat, or to the page that this site named in `next`."""

    template_name = "accounts/login.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the form. No page of another origin learns by a redirect whether the person is logged in."""
        if request.user.is_authenticated and is_navigation(request):
            target = self.get_redirect_url() if may_choose_target(request) else ""
            return HttpResponseRedirect(target or self.get_default_redirect_url())
        return super().get(request, *args, **kwargs)


class LogOutView(LocalRedirect, LogoutView):
    """Logs a user out. Hotclub then ends all connections of this login."""

    http_method_names = ["get", "post", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Go to the home page, and log nobody out: links in a page about a refused form lead here."""
        return HttpResponseRedirect(reverse("ui:home"))


class SettingsView(LoginRequiredMixin, SuccessMessageMixin, UpdateView):  # type: ignore[type-arg]  # generic in the stubs only
    """Shows and changes the display name, the language and the theme."""

    form_class = ProfileForm
    template_name = "accounts/settings.html"
    context_object_name = "account"  # the page's header shows "user", the logged-in user as stored
    success_url = reverse_lazy("accounts:settings")
    success_message = _("Your settings are saved.")

    def get_object(self, _queryset: models.QuerySet[User] | None = None) -> User:
        """Return a copy of the user's own account: a refused form must not change the name in the page's header."""
        assert isinstance(self.request.user, User)
        return User.objects.get(pk=self.request.user.pk)

    def form_valid(self, form: "BaseModelForm[User]") -> HttpResponse:
        """Save, with a success message in the new language."""
        with translation.override(form.cleaned_data["language"] or translation.get_language()):
            try:
                return super().form_valid(form)
            except BadName as taken:
                return self.form_invalid(_refused(form, taken))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add `password_form`, which posts to `PasswordView`."""
        assert isinstance(self.request.user, User)
        return super().get_context_data(**{"password_form": PasswordForm(self.request.user), **kwargs})


class PasswordView(SuccessMessageMixin, PasswordChangeView):  # type: ignore[type-arg]  # generic in the stubs only
    """Changes the password. The user stays logged in here, and all other logins end."""

    form_class = PasswordForm
    template_name = "accounts/settings.html"
    success_url = reverse_lazy("accounts:settings")
    success_message = _("Your password is changed. Other devices are logged out.")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Go to the settings: a reload after a refused form leads here."""
        return HttpResponseRedirect(reverse("accounts:settings"))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the settings form: a refused password shows the whole settings page again."""
        context = super().get_context_data(**kwargs)
        assert isinstance(self.request.user, User)
        return {**context, "password_form": context["form"], "form": ProfileForm(instance=self.request.user)}


def _refused(form: "BaseModelForm[User]", taken: BadName) -> Any:
    """The form with an error: somebody else has taken the name since the form was checked."""
    form.add_error(None, "; ".join(taken.messages))
    return form


class _PreferenceView(View):
    """Stores one preference, on the account of a logged-in user and in a cookie."""

    http_method_names = ["get", "post", "options"]
    cookie: str

    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - Django's signature
        """Go to the home page: links in a page about a refused form lead here."""
        return HttpResponseRedirect(reverse("ui:home"))

    def choose(self, request: HttpRequest) -> str:
        """Store the preference on the account, if there is one, and return it for the cookie.

        Raises:
            ValueError: the request names no valid choice.
        """
        raise NotImplementedError

    def post(self, request: HttpRequest) -> HttpResponse:
        """Store the preference and go back to the page with the form; answer 400 for an invalid choice."""
        try:
            choice = self.choose(request)
        except ValueError:
            return HttpResponseBadRequest()
        response = HttpResponseRedirect(_page_before(request))
        secure = settings.LANGUAGE_COOKIE_SECURE
        age = settings.LANGUAGE_COOKIE_AGE
        response.set_cookie(self.cookie, choice, max_age=age, secure=secure, httponly=True, samesite="Lax")
        return response


class ThemeView(_PreferenceView):
    """Stores the theme: light, dark, or that of the device."""

    cookie = THEME_COOKIE

    def choose(self, request: HttpRequest) -> str:
        """Return the theme; see the base class."""
        theme = Theme(request.POST.get("theme", ""))
        if isinstance(request.user, User):
            services.set_theme(request.user, theme)
        return theme


class LanguageView(_PreferenceView):
    """Stores the language of the pages."""

    cookie = settings.LANGUAGE_COOKIE_NAME

    def choose(self, request: HttpRequest) -> str:
        """Return the language; see the base class."""
        language = request.POST.get("language", "")
        if language not in dict(settings.LANGUAGES):
            raise ValueError(language)
        if isinstance(request.user, User):
            services.set_language(request.user, language)
        return language


def _page_before(request: HttpRequest) -> str:
    """Return the address of the page with the form, or else of the home page. Foreign addresses do not count."""
    target = local_path(request.POST.get("next", ""))
    if target:
        return target
    before = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(before, {request.get_host()}, require_https=request.is_secure()):
        return before
    return reverse("ui:home")
