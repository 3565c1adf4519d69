"""Addresses of the account's pages."""

from django.urls import path

from clubhouse.accounts import views

app_name = "accounts"
urlpatterns = [
    path("signup/", views.SignUpView.as_view(), name="signup"),
    path("login/", views.LogInView.as_view(), name="login"),
    path("logout/", views.LogOutView.as_view(), name="logout"),
    path("settings/", views.SettingsView.as_view(), name="settings"),
    path("settings/password/", views.PasswordView.as_view(), name="password"),
    path("theme/", views.ThemeView.as_view(), name="theme"),
]
