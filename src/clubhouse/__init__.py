"""Clubhouse: a site of live apps on Hotclub."""
