"""The options of `photoindex search`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from photoindex.cli.completion import complete_query, complete_value


class Mode(StrEnum):
    hybrid = "hybrid"
    keyword = "keyword"
    semantic = "semantic"


class Has(StrEnum):
    gps = "gps"
    text = "text"
    faces = "faces"
    people = "people"
    tags = "tags"
    date = "date"
    camera = "camera"
    rating = "rating"


class Sort(StrEnum):
    relevance = "relevance"
    date = "date"
    name = "name"


# What is searched for.
WordsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[QUERY]",
        help="Words, fields such as camera:nikon, or both: see docs/query.md.",
        autocompletion=complete_query,
    ),
]
LikeOption = Annotated[list[str] | None, typer.Option(metavar="PICTURE", help="Like this file or photo.")]
AddOption = Annotated[list[str] | None, typer.Option(metavar="TERM", help="Add a meaning: rain, 0.5:rain, a.jpg.")]
SubtractOption = Annotated[list[str] | None, typer.Option(metavar="TERM", help="Take a meaning away.")]
AfterOption = Annotated[str | None, typer.Option(metavar="DATE", help="Taken then or later: 2023, 2023-05-01.")]
BeforeOption = Annotated[str | None, typer.Option(metavar="DATE", help="Taken earlier than that.")]
CameraOption = Annotated[
    str | None, typer.Option(help="Part of the camera's maker and model.", autocompletion=complete_value("camera"))
]
CategoryOption = Annotated[
    list[str] | None,
    typer.Option(help="In this category; see `photoindex categories`.", autocompletion=complete_value("category")),
]
TagOption = Annotated[list[str] | None, typer.Option(help="With this tag.", autocompletion=complete_value("tag"))]
HasOption = Annotated[list[Has] | None, typer.Option(help="With a position, text, faces, ...")]

# How it is searched for, and what of it is shown.
ModeOption = Annotated[Mode, typer.Option(help="By words, by meaning, or both.")]
LimitOption = Annotated[int, typer.Option(min=0, help="At most so many photos; 0 for all.")]
AllOption = Annotated[bool, typer.Option("--all", help="Also what is no good match, after what is.")]
SortOption = Annotated[Sort, typer.Option(help="The order of the good matches.")]
MinScoreOption = Annotated[float, typer.Option(min=0.0, max=1.0, help="Only photos that match at least so well.")]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="LIST=N,...", envvar="PHOTOINDEX_WEIGHTS", help="What text, tags and vector count in the ranking."
    ),
]
TextRuntimeOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Run the text model on this: onnxruntime or openvino.")
]
ExplainOption = Annotated[bool, typer.Option("--explain", help="Show why each photo is in the result.")]
SaveOption = Annotated[str | None, typer.Option(metavar="NAME", help="Keep the query as a smart collection.")]
