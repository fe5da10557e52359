"""GET / and GET /docs, for people with a browser, and the files that the two are made of."""

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.web_files import DOCS, DOCS_FILES, PAGE, PAGE_FILES, WebFile

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    """Give the page that captions a sound."""
    return PAGE.response()


@router.get("/page/{name}")
async def page_file(name: str) -> Response:
    """Give a file of the page."""
    return _found(PAGE_FILES, name).response()


@router.get("/docs")
async def docs() -> Response:
    """Give Swagger UI."""
    return DOCS.response()


@router.get("/docs/{name}")
async def docs_file(name: str) -> Response:
    """Give a file of Swagger UI."""
    return _found(DOCS_FILES, name).response()


def _found(listed: dict[str, WebFile], name: str) -> WebFile:
    if name not in listed:
        raise HTTPException(404)
    return listed[name]
