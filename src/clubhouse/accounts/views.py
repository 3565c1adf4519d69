"""Sign up, log in, log out, settings."""

from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView, RedirectURLMixin
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
from clubhouse.accounts.context import THEME_COOKIE
from clubhouse.accounts.forms import PasswordForm, ProfileForm, SignUpForm
from clubhouse.accounts.models import Theme, User


class SignUpView(RedirectURLMixin, CreateView):  # type: ignore[type-arg]  # generic in the stubs only
    """A new account, and its first session."""

    form_class = SignUpForm
    template_name = "accounts/signup.html"
    next_page = "chat:rooms"

    def form_valid(self, form: "BaseModelForm[User]") -> HttpResponse:
        """Save the account and log in."""
        self.object = form.save()
        login(self.request, self.object)
        return HttpResponseRedirect(self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the page that one came for, if it is one of this site's."""
        return super().get_context_data(**{"next": self.get_redirect_url(), **kwargs})


class LogInView(LoginView):
    """A new session."""

    template_name = "accounts/login.html"
    redirect_authenticated_user = True


class LogOutView(LogoutView):
    """The end of the session, and of every live connection that it opened."""

    http_method_names = ["post", "options"]


class SettingsView(LoginRequiredMixin, SuccessMessageMixin, UpdateView):  # type: ignore[type-arg]  # generic in the stubs only
    """Display name, language and theme."""

    form_class = ProfileForm
    template_name = "accounts/settings.html"
    context_object_name = "account"  # "user" is who is signed in, as in every page's header
    success_url = reverse_lazy("accounts:settings")
    success_message = _("Your settings are saved.")

    def get_object(self, _queryset: models.QuerySet[User] | None = None) -> User:
        """One's own account, as a copy: a form that is refused must not change the page's header."""
        assert isinstance(self.request.user, User)
        return User.objects.get(pk=self.request.user.pk)

    def form_valid(self, form: "BaseModelForm[User]") -> HttpResponse:
        """Save, and say so in the language that was just chosen."""
        with translation.override(form.cleaned_data["language"] or translation.get_language()):
            return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the password form, which goes to its own address."""
        assert isinstance(self.request.user, User)
        return super().get_context_data(**{"password_form": PasswordForm(self.request.user), **kwargs})


class PasswordView(SuccessMessageMixin, PasswordChangeView):  # type: ignore[type-arg]  # generic in the stubs only
    """A new password; sessions elsewhere end with the old one."""

    form_class = PasswordForm
    template_name = "accounts/settings.html"
    success_url = reverse_lazy("accounts:settings")
    success_message = _("Your password is changed. Other devices are logged out.")
    http_method_names = ["post", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the settings form, for the same page."""
        context = super().get_context_data(**kwargs)
        assert isinstance(self.request.user, User)
        return {**context, "password_form": context["form"], "form": ProfileForm(instance=self.request.user)}


class _PreferenceView(View):
    """A choice of how to see the site: kept on the account, and in a cookie for those who have none."""

    http_method_names = ["post", "options"]
    cookie: str

    def choose(self, request: HttpRequest) -> str:
        """The choice of this request, stored. Raises ValueError when it is none."""
        raise NotImplementedError

    def post(self, request: HttpRequest) -> HttpResponse:
        """Store the choice and go back to the page."""
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
    """Light, dark, or like the device."""

    cookie = THEME_COOKIE

    def choose(self, request: HttpRequest) -> str:
        """Store the theme on the account, if there is one."""
        theme = Theme(request.POST.get("theme", ""))
        if isinstance(request.user, User):
            services.set_theme(request.user, theme)
        return theme


class LanguageView(_PreferenceView):
    """The language of the pages."""

    cookie = settings.LANGUAGE_COOKIE_NAME

    def choose(self, request: HttpRequest) -> str:
        """Store the language on the account, if there is one."""
        language = request.POST.get("language", "")
        if language not in dict(settings.LANGUAGES):
            raise ValueError(language)
        if isinstance(request.user, User):
            services.set_language(request.user, language)
        return language


def _page_before(request: HttpRequest) -> str:
    """The page that the form stood on, if it is one of this site's."""
    for address in (request.POST.get("next", ""), request.headers.get("Referer", "")):
        if url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure()):
            return address
    return reverse("ui:home")
