"""Fetches URLs from users: checks every hop, and connects to the address that was checked."""
