"""What a page must not do, whichever page it is."""

from __future__ import annotations

from typing import Any


def watched(page: Any, *allowed: str) -> list[str]:
    """Let a page ask only for addresses that begin so; return what will go wrong, as it does.

    That is: a request to another host, a file that is missing, a script that fails.
    """
    trouble: list[str] = []

    def guard(route: Any) -> None:
        url = route.request.url
        if url.startswith(allowed):
            route.continue_()
        else:
            trouble.append(f"asked for {url}")
            route.abort()

    page.route("**/*", guard)
    page.on("pageerror", lambda error: trouble.append(f"script error: {error}"))
    page.on(
        "response",
        lambda r: trouble.append(f"{r.status} for {r.url}") if r.status >= 400 else None,
    )
    return trouble
