"""The real-time engine: plain asyncio, no Django.

Imports inside this package go down only, in the order given in ARCHITECTURE.md; a test holds them there.
"""
