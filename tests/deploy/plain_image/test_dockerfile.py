"""What is read of a Dockerfile and a .dockerignore, and what is refused."""

from pathlib import Path

import pytest

from deploy.plain_image.dockerfile import (
    StepError,
    check_copies,
    read_ignored,
    read_instructions,
    read_stages,
    sent,
)

_TEXT = """\
# A comment.
ARG IMAGE=python:3.11-slim
FROM ${IMAGE} AS made
RUN --mount=type=bind,from=other,source=/a,target=/b first \\
    # between the lines
    && second
FROM scratch
HEALTHCHECK --interval=10s --retries=3 \\
    CMD ["python", "-c", "1"]
CMD ["serve"]
"""


def test_continued_lines_are_one_instruction_with_its_flags_apart() -> None:
    run = next(found for found in read_instructions(_TEXT) if found.word == "RUN")
    assert run.line == 4
    assert run.flags == {"mount": "type=bind,from=other,source=/a,target=/b"}
    assert run.text.split() == ["first", "&&", "second"]


def test_stages_have_names_and_the_arguments_before_them() -> None:
    arguments, stages = read_stages(read_instructions(_TEXT))
    assert arguments == {"IMAGE": "python:3.11-slim"}
    assert [(stage.name, stage.base, len(stage.instructions)) for stage in stages] == [
        ("made", "${IMAGE}", 2),
        ("stage 1", "scratch", 3),
    ]


def test_commands_are_lists() -> None:
    *_, health, command = read_instructions(_TEXT)
    assert health.command() == ["python", "-c", "1"]
    assert command.command() == ["serve"]


@pytest.mark.parametrize("text", ["CMD serve", 'CMD "serve"', "CMD []", "CMD [1]", "HEALTHCHECK NONE"])
def test_a_command_for_a_shell_is_refused(text: str) -> None:
    (instruction,) = read_instructions(text)
    with pytest.raises(StepError, match="no list of strings"):
        instruction.command()


@pytest.mark.parametrize("text", ["ADD a b", "FROM scratch\nVOLUME /a", "LABEL a=b", "", "# nothing"])
def test_what_it_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(StepError, match="Dockerfile"):
        read_stages(read_instructions(text))


@pytest.mark.parametrize(
    ("path", "reaches"),
    [
        ("app", True),
        ("app/main.py", True),
        ("app/__pycache__", False),
        ("app/deep/__pycache__/main.pyc", False),
        ("app/a.pyc", False),
        ("app/b.log", False),
        ("app/deep/b.log", True),
        ("apple", False),
        (".git", False),
    ],
)
def test_the_last_pattern_that_is_of_a_path_decides(path: str, reaches: bool) -> None:
    assert sent(path, ["*", "!app", "**/__pycache__", "**/*.pyc", "app/*.log"]) is reaches


def test_without_a_dockerignore_everything_is_sent(tmp_path: Path) -> None:
    assert read_ignored(tmp_path) == []
    assert sent("anything", [])


@pytest.mark.parametrize(
    ("copy", "reason"),
    [
        ("COPY there missing /", "missing does not exist"),
        ("COPY closed /", "closed is left out by .dockerignore"),
        ("COPY --from=later /a /a", "no stage later before it"),
        ("COPY the* /", "without wildcards"),
        ("COPY there", "sources and a target"),
    ],
)
def test_a_copy_of_what_is_not_there_is_refused(tmp_path: Path, copy: str, reason: str) -> None:
    for name in ("there", "closed"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / ".dockerignore").write_text("# kept back\nclosed\n", encoding="utf-8")
    stages = read_stages(read_instructions(f"FROM scratch\nCOPY there /\n{copy}\nFROM scratch AS later"))[1]
    with pytest.raises(StepError, match=f"Dockerfile:3: .*{reason}"):
        check_copies(stages, tmp_path)
