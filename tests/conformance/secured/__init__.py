"""What the conformance project cannot show, for it lets everybody do everything: who may, for how long, and options of
channels that none of its classes has."""
