"""Commands whose parts are not in this version: each says so and fails."""

from __future__ import annotations

import typer

from dwell.errors import NotBuiltYetError

_LATER = {
    "sweep": "Trade latency against resources and accuracy.",
}
# anything may follow: the answer is the same, and clearer than a complaint about an option
_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for name, text in _LATER.items():
        _add(app, name, text, f"dwell {name}")
    group = typer.Typer(help="A user's own micrographs as training data.")
    _add(group, "import", "Read a user's own micrographs.", "dwell data import")

    @group.callback()
    def _group() -> None:
        """Keeps `import` a command of its own: a group of one would swallow it."""

    app.add_typer(group, name="data")


def _add(app: typer.Typer, name: str, text: str, shown: str) -> None:
    @app.command(name, help=f"{text} Not built yet.", context_settings=_ANYTHING)
    def _not_yet() -> None:
        raise NotBuiltYetError(
            f"`{shown}` is not built yet",
            hint="this version goes from a trained network to a simulated board",
            place=shown,
        )
