"""The report on an image against the definitions that the caller sees (an extension of Glimpse)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.services.deps import Deps
from glimpse.services.images import show_image
from glimpse.services.metadef_report import MetadefReport, metadef_report
from glimpse.services.metadefs.access import allows


def report_on_image(deps: Deps, context: Context, image_id: str) -> MetadefReport:
    """Check the custom properties of an image, without namespaces that the caller may not see.

    :raises NotFound: unknown or invisible image, or policy ``get_image``.
    """
    image = show_image(deps, context, image_id)
    contents = [
        content
        for content in deps.metadefs.export_namespaces()
        if allows(deps, context, "get_metadef_namespace", content.namespace)
    ]
    return metadef_report(image.properties, contents)
