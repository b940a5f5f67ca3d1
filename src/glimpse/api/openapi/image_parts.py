"""Tags, actions, members and locations of an image (images-api 3.7 to 3.9; imports-and-stores 5.3)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.operation import NO_CONTENT, Answer, Operation, json_of

TAGS, ACTIONS, MEMBERS, LOCATIONS, TASKS, REPORTS = "tags", "actions", "members", "locations", "tasks", "metadefs"

_MEMBER = Answer(text="The member.", content=json_of("Member"))

IMAGE_PARTS: Mapping[tuple[str, str], Operation] = {
    ("PUT", "/images/{image_id}/tags/{tag}"): Operation(
        id="add_tag", summary="Add a tag to an image", tag=TAGS, answers={204: NO_CONTENT}, refusals=(403, 413),
    ),
    ("DELETE", "/images/{image_id}/tags/{tag}"): Operation(
        id="remove_tag", summary="Remove a tag from an image", tag=TAGS, answers={204: NO_CONTENT}, refusals=(403,),
    ),
    ("POST", "/images/{image_id}/actions/deactivate"): Operation(
        id="deactivate_image", summary="Deactivate an image, so that only administrators can download it", tag=ACTIONS,
        answers={204: NO_CONTENT}, refusals=(403, 409),
    ),
    ("POST", "/images/{image_id}/actions/reactivate"): Operation(
        id="reactivate_image", summary="Reactivate a deactivated image", tag=ACTIONS,
        answers={204: NO_CONTENT}, refusals=(403, 409),
    ),
    ("GET", "/images/{image_id}/members"): Operation(
        id="list_members", summary="List the projects that an image is shared with", tag=MEMBERS,
        answers={200: Answer(text="The members that the caller sees.", content=json_of("Members"))}, refusals=(403,),
    ),
    ("POST", "/images/{image_id}/members"): Operation(
        id="add_member", summary="Share an image with a project", tag=MEMBERS,
        body=json_of("MemberAdd"), answers={200: _MEMBER}, refusals=(403, 409),
    ),
    ("GET", "/images/{image_id}/members/{member_id}"): Operation(
        id="show_member", summary="Show a member", tag=MEMBERS, answers={200: _MEMBER}, refusals=(403,),
    ),
    ("PUT", "/images/{image_id}/members/{member_id}"): Operation(
        id="set_member_status", summary="Accept or reject an image that another project shares", tag=MEMBERS,
        body=json_of("MemberStatus"), answers={200: _MEMBER}, refusals=(403,),
    ),
    ("DELETE", "/images/{image_id}/members/{member_id}"): Operation(
        id="remove_member", summary="Stop sharing an image with a project", tag=MEMBERS,
        answers={204: NO_CONTENT}, refusals=(403,),
    ),
    ("GET", "/images/{image_id}/locations"): Operation(
        id="list_locations", summary="List the locations of an image; for services", tag=LOCATIONS,
        answers={200: Answer(text="The locations, best first.", content=json_of("Locations"))},
        refusals=(403,),
    ),
    ("POST", "/images/{image_id}/locations"): Operation(
        id="add_location", summary="Add a location to a queued image", tag=LOCATIONS,
        body=json_of("LocationAdd"), answers={202: Answer(text="A job adds the location.")}, refusals=(403, 409),
    ),
    ("GET", "/images/{image_id}/tasks"): Operation(
        id="list_image_tasks", summary="List the running and finished tasks of an image", tag=TASKS,
        answers={200: Answer(text="The tasks of the caller's project.", content=json_of("ImageTasks"))},
    ),
    ("GET", "/images/{image_id}/metadefs-report"): Operation(
        id="report_on_image", summary="Check the properties of an image against the metadata definitions",
        tag=REPORTS, answers={200: Answer(text="The report, an extension.", content=json_of("MetadefReport"))},
    ),
}  # fmt: skip
