"""Addresses of the home page and of the front end's translations."""

from django.urls import path
from django.views.generic import TemplateView

from clubhouse.ui.catalog import catalog

app_name = "ui"
urlpatterns = [
    path("", TemplateView.as_view(template_name="ui/home.html"), name="home"),
    path("jsi18n/", catalog, name="catalog"),
]
