"""`irtools score`: estimates and references -> scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from irtools.commands.arguments import Json, folder

Estimates = folder("ESTIMATES_DIR", "Folder of estimates.")
References = folder("REFERENCES_DIR", "Folder of references with the same file names.")


def score(
    estimates_dir: Estimates,
    references_dir: References,
    inputs: Annotated[Path | None, typer.Option(help="The microphones, for the improvement over them.")] = None,
    as_json: Json = False,
) -> None:
    """Score estimates against references: SI-SDR, BSS Eval v4 and residual bleed, per stem, mean and median."""
    import irtools as ir
    from irtools.recording.writing import json_text

    references = ir.read_multitrack(references_dir)

    def matching(source: Path):
        """The waveforms in a folder that bear the references' names, of the same rate and length."""
        found = ir.read_multitrack(source, names=references.names)
        for what, ours, its in (
            ("sample rate", references.sample_rate, found.sample_rate),
            ("number of samples", references.samples, found.samples),
        ):
            if ours != its:
                raise ValueError(f"{source}: {what} {its}; expected {ours} as in {references_dir}")
        return found.waveforms

    scores = ir.score(
        matching(estimates_dir),
        references.waveforms,
        references.sample_rate,
        names=references.names,
        inputs=matching(inputs) if inputs else None,
    )
    print(json_text(scores.to_dict()) if as_json else scores.table())
