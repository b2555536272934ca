"""The web page: plain modules in src/, built into dist/ by build.py; the API serves dist/ at `/`."""
