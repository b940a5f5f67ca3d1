"""Tags, actions, members and locations of an image (images-api 3.7 to 3.9; imports-and-stores 5.3)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.operation import NO_CONTENT, Answer, Operation, json_of

TAGS, ACTIONS, MEMBERS, LOCATIONS, TASKS, REPORTS = "tags", "actions", "members", "locations", "tasks", "metadefs"

_MEMBER = Answer(text="The member.", content=json_of("Member"))

IMAGE_PARTS: Mapping[tuple[str, str], Operation] = {
    ("PUT", "/images/{image_id}/tags/{tag}"): Operation(
        id="add_tag", summary="Give an image a tag", tag=TAGS, answers={204: NO_CONTENT}, refusals=(403, 413),
    ),
    ("DELETE", "/images/{image_id}/tags/{tag}"): Operation(
        id="remove_tag", summary="Take a tag from an image", tag=TAGS, answers={204: NO_CONTENT}, refusals=(403,),
    ),
    ("POST", "/images/{image_id}/actions/deactivate"): Operation(
        id="deactivate_image", summary="Let nobody download an image but administrators", tag=ACTIONS,
        answers={204: NO_CONTENT}, refusals=(403, 409),
    ),
    ("POST", "/images/{image_id}/actions/reactivate"): Operation(
        id="reactivate_image", summary="Let an image be downloaded again", tag=ACTIONS,
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
        id="remove_member", summary="Share an image with a project no longer", tag=MEMBERS,
        answers={204: NO_CONTENT}, refusals=(403,),
    ),
    ("GET", "/images/{image_id}/locations"): Operation(
        id="list_locations", summary="List where the data of an image are; for services", tag=LOCATIONS,
        answers={200: Answer(text="The locations, the best one first.", content=json_of("Locations"))},
        refusals=(403,),
    ),
    ("POST", "/images/{image_id}/locations"): Operation(
        id="add_location", summary="Let a queued image have the data of a location", tag=LOCATIONS,
        body=json_of("LocationAdd"), answers={202: Answer(text="A job adds the location.")}, refusals=(403, 409),
    ),
    ("GET", "/images/{image_id}/tasks"): Operation(
        id="list_image_tasks", summary="List the tasks that work, or worked, on an image", tag=TASKS,
        answers={200: Answer(text="The tasks that the caller's project asked for.", content=json_of("ImageTasks"))},
    ),
    ("GET", "/images/{image_id}/metadefs-report"): Operation(
        id="report_on_image", summary="Tell which properties of an image are defined, and which values break that",
        tag=REPORTS, answers={200: Answer(text="The report; an own extension.", content=json_of("MetadefReport"))},
    ),
}  # fmt: skip
