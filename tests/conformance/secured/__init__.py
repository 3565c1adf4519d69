"""A Django project for what the conformance project cannot show, for it lets everybody do everything: who may, for how
long, options of channels that none of its classes has, procedures, a connect hook, and pings every second."""
