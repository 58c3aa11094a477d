"""`audiomatch serve`: a model behind a JSON API and a page; `audiomatch view`: a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from audiomatch.commands.paths import OutputFile, OutputFolder, UserPath
from audiomatch_serve.settings import MEGABYTE, Settings

DEFAULT = Settings()


def _network(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where a command listens, and by which names."""
    for option in reversed(_NETWORK):
        command = option(command)
    return command


_NETWORK = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=8000,
        show_default=True,
        help="Port to listen on; 0 for any that is free.",
    ),
    click.option(
        "--allow-host",
        multiple=True,
        metavar="NAME",
        help="A further name that requests may call the server by, as behind a reverse proxy; "
        "'*' for any.  [default: this machine's own on a local --host, else any]",
    ),
)


@click.command()
@click.argument("model")
@_network
@click.option("--keep", type=OutputFolder(), help="Keep clips, texts and answers in this folder.")
@click.option(
    "--max-upload",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT.upload / MEGABYTE,
    show_default=True,
    metavar="MB",
    help="Largest request.",
)
@click.option(
    "--max-text",
    type=click.IntRange(min=1),
    default=DEFAULT.text,
    show_default=True,
    metavar="N",
    help="Characters of the longest text.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    default=DEFAULT.batch,
    show_default=True,
    metavar="N",
    help="Most clips predicted together.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=DEFAULT.queue,
    show_default=True,
    metavar="N",
    help="Most requests at a time; the next one is told to come again (503).",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT.seconds,
    show_default=True,
    metavar="SECONDS",
    help="Longest time of a request, its upload and its wait included.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Number format of the model.",
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="CPU workers.")
def serve(
    model: str,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    keep: Path | None,
    max_upload: float,
    max_text: int,
    max_batch: int,
    queue: int,
    timeout: float,
    **how: Any,
) -> None:
    """Serve MODEL to programs (JSON) and to people (a page).

    MODEL is a folder that `fit` saved, NAME:ready for the model that a matcher's plugin carries, or
    hf:OWNER/NAME for one of the Hugging Face hub.

    Ctrl-C or SIGTERM stops it, once the requests that it has taken on are answered.
    """
    import audiomatch
    from audiomatch_serve.server import address, listen, names_of, serve_model, warn_if_open

    settings = Settings(
        hosts=names_of(host, allow_host),
        upload=int(max_upload * MEGABYTE),
        text=max_text,
        batch=max_batch,
        queue=queue,
        seconds=timeout,
        keep=keep,
    )
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    bound = listen(host, port)
    loaded = audiomatch.load(model, **how)
    if loaded.run.devices:
        raise audiomatch.UserError(
            f"--device {loaded.run.device_list}: serve computes on one device"
        )
    warn_if_open(host)
    click.echo(f"{loaded.name} is served at {address(host, bound)} (Ctrl-C stops it)")
    serve_model(loaded, settings, bound)


@click.command()
@click.argument("run", type=UserPath(), metavar="RUN")
@click.option("--data", metavar="DATA", help="Where the data of the run lie [where they were].")
@click.option(
    "--labels",
    type=OutputFile(),
    metavar="FILE",
    help="Where wrong labels are written down [labels.csv in RUN].",
)
@_network
def view(
    run: Path,
    data: str | None,
    labels: Path | None,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
) -> None:
    """Show the report of RUN, a folder that `bench` wrote, with the sound of every clip.

    Labels that are wrong can be marked; `bench --labels` takes the file.

    Ctrl-C or SIGTERM stops it.
    """
    from audiomatch.records import RunRecord
    from audiomatch.scoring.runs import open_run
    from audiomatch_serve.server import address, listen, names_of, serve_app, warn_if_open
    from audiomatch_serve.viewing import opened_clips, view_app

    open_run(run)
    record = RunRecord.read(run / "run.json")
    settings = Settings(hosts=names_of(host, allow_host))
    clips = opened_clips(record, data)
    app = view_app(run, clips, record, settings, labels or run / "labels.csv")
    bound = listen(host, port)
    warn_if_open(host)
    click.echo(f"{run} is shown at {address(host, bound)} (Ctrl-C stops it)")
    serve_app(app, settings, bound)
