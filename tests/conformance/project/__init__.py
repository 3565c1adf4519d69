"""The Django project that client libraries' own test suites run against: `make conformance`. Never serve it in earnest:
it lets everybody do everything."""
