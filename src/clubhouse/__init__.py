"""Clubhouse: a site of live apps, built on Hotclub."""
