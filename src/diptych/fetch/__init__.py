"""Fetching over HTTP: `download` for addresses that we publish, `fetch_bytes` for any that somebody gives.

Import it where it is used only: http, ssl and urllib take 0.1 s.
"""

from diptych.fetch.trusted import download
from diptych.fetch.untrusted import fetch_bytes

__all__ = ["download", "fetch_bytes"]
