"""Options of glance-api.conf that take effect (configuration 3 to 6 and 12; store-formats 2)."""

from __future__ import annotations

from glimpse.settings import checks
from glimpse.settings.cors import CORS_OPTIONS
from glimpse.settings.options import Option

_LISTEN = (
    Option(
        section="DEFAULT", name="bind_host", kind="string", target="listen.host", check=checks.not_empty,
        help="Address to listen on. Beyond loopback only with an `auth` other than `none`.",
    ),
    Option(
        section="DEFAULT", name="bind_port", kind="integer", minimum=1, maximum=65535, target="listen.port",
        help="TCP port to listen on.",
    ),
    Option(
        section="DEFAULT", name="workers", kind="integer", minimum=0, maximum=1024, target="listen.workers",
        help="Worker processes; 0 means one, as in Glance.",
    ),
)  # fmt: skip

_API = (
    Option(
        section="DEFAULT", name="public_endpoint", kind="string", target="api.public_endpoint", check=checks.http_url,
        default_text="none: the URL of the request", help="Base URL in the version list.",
    ),
    Option(
        section="DEFAULT", name="allow_anonymous_access", kind="boolean", target="auth.allow_anonymous_access",
        help="Requests without credentials may read public images instead of being refused with 401.",
    ),
    Option(
        section="DEFAULT", name="max_request_id_length", kind="integer", minimum=0,
        target="limits.max_request_id_length", help="Longest `X-OpenStack-Request-ID` that is accepted; 0: no limit.",
    ),
    Option(
        section="DEFAULT", name="show_image_direct_url", kind="boolean", target="api.show_image_direct_url",
        help="Show the field `direct_url` of images.",
    ),
    Option(
        section="DEFAULT", name="show_multiple_locations", kind="boolean", target="api.show_multiple_locations",
        help="Show the field `locations` of images, and allow changing it.",
    ),
    Option(
        section="oslo_middleware", name="enable_proxy_headers_parsing", kind="boolean",
        target="api.enable_proxy_headers_parsing",
        help="Use `Forwarded` and `X-Forwarded-*` for the URLs in responses and for the client's address.",
    ),
    *CORS_OPTIONS,
    Option(
        section="healthcheck", name="disable_by_file_path", kind="string", target="api.healthcheck_disable_file",
        check=checks.not_empty, help="While this file exists, `/healthcheck` answers 503.",
    ),
    Option(
        section="healthcheck", name="detailed", kind="boolean", target="api.healthcheck_detailed",
        help="`/healthcheck` tells why a store is down, and since when.",
    ),
    Option(
        section="healthcheck", name="allowed_source_ranges", kind="list", target="api.healthcheck_ranges",
        check=checks.networks,
        help="Networks (CIDR) from which `/healthcheck` is answered; empty: all. Others get the answer of an unknown "
        "path.",
    ),
    Option(
        section="paste_deploy", name="flavor", kind="string", default_text="none",
        help="A keystone flavor selects auth `keystone` if `[glimpse] auth` is not set.",
    ),
)  # fmt: skip

_LIMITS = (
    Option(
        section="DEFAULT", name="image_property_quota", kind="integer", target="limits.image_property_quota",
        help="Maximum number of custom properties per image; negative: no limit.",
    ),
    Option(
        section="DEFAULT", name="image_tag_quota", kind="integer", target="limits.image_tag_quota",
        help="Maximum number of tags per image; negative: no limit.",
    ),
    Option(
        section="DEFAULT", name="image_member_quota", kind="integer", target="limits.image_member_quota",
        help="Maximum number of members per image; negative: no limit.",
    ),
    Option(
        section="DEFAULT", name="image_location_quota", kind="integer", target="limits.image_location_quota",
        help="Maximum number of locations per image; negative: no limit.",
    ),
    Option(
        section="DEFAULT", name="user_storage_quota", kind="string", check=checks.storage_quota,
        target="quotas.user_storage_quota", default_text="`0`: no limit",
        help="Total bytes that the images of one project may use, counting every copy: a number, optionally with "
        "B, KB, MB, GB or TB. Ignored with `use_keystone_limits`.",
    ),
    Option(
        section="DEFAULT", name="use_keystone_limits", kind="boolean", target="quotas.use_keystone_limits",
        help="Enforce the project limits registered in Keystone; see `[oslo_limit]`.",
    ),
    Option(
        section="DEFAULT", name="image_size_cap", kind="integer", minimum=1, maximum=1 << 63,
        target="limits.image_size_cap", help="Maximum size of an image, in bytes.",
    ),
    Option(
        section="DEFAULT", name="limit_param_default", kind="integer", minimum=1, target="limits.limit_param_default",
        help="Page size if the request has no `limit`; at most `api_limit_max`.",
    ),
    Option(
        section="DEFAULT", name="api_limit_max", kind="integer", minimum=1, target="limits.api_limit_max",
        help="Maximum page size.",
    ),
)  # fmt: skip

_FORMATS = (
    Option(
        section="image_format", name="container_formats", kind="list", target="formats.container_formats",
        check=checks.names, moved_from=(("DEFAULT", "container_formats"),),
        help="Allowed values of `container_format`.",
    ),
    Option(
        section="image_format", name="disk_formats", kind="list", target="formats.disk_formats", check=checks.names,
        moved_from=(("DEFAULT", "disk_formats"),), help="Allowed values of `disk_format`.",
    ),
    Option(
        section="image_format", name="require_image_format_match", kind="boolean",
        target="formats.require_image_format_match",
        help="Refuse data that do not have the image's `disk_format` with 415.",
    ),
    Option(
        section="image_format", name="gpt_safety_checks_nonfatal", kind="list",
        target="formats.gpt_safety_checks_nonfatal", help="Partition table checks that only log a warning.",
    ),
    Option(
        section="DEFAULT", name="hashing_algorithm", kind="string", target="formats.hashing_algorithm",
        check=checks.hash_name, help="Algorithm for `os_hash_value` of new data.",
    ),
    Option(
        section="DEFAULT", name="do_secure_hash", kind="boolean", target="locations.do_secure_hash",
        help="Hash the data of locations added by `POST …/locations` in the job that inspects them.",
    ),
    Option(
        section="DEFAULT", name="http_retries", kind="integer", minimum=0, target="locations.http_retries",
        help="Attempts to read such data before their hash stays unknown; at least one is made.",
    ),
)  # fmt: skip

_JOBS = (
    Option(
        section="task", name="task_time_to_live", kind="integer", minimum=0, maximum=8_760_000,
        target="jobs.keep_hours",
        moved_from=(("DEFAULT", "task_time_to_live"),), help="Hours to keep the record of a finished job.",
    ),
)  # fmt: skip

_IMPORTS = (
    Option(
        section="DEFAULT", name="enabled_import_methods", kind="bounded", target="imports.enabled_import_methods",
        check=checks.import_methods,
        help="Import methods that clients may use; `[]`: none. `copy-image` needs several stores.",
    ),
    Option(
        section="glance_download_properties", name="extra_properties", kind="bounded",
        target="imports.extra_properties",
        help="Which custom properties `glance-download` copies from the source: those whose names begin with one of "
        "these texts. Names that begin with `os_glance` are never copied.",
    ),
    Option(
        section="DEFAULT", name="node_staging_uri", kind="string", check=checks.file_url,
        target="imports.node_staging_uri",
        default_text="`file:///tmp/staging/`; `staging` in `[glimpse] data_dir` without `[database] connection`",
        help="Directory for data that wait for their import, without `enabled_backends`.",
    ),
    Option(
        section="os_glance_staging_store", name="filesystem_store_datadir", kind="string", check=checks.not_empty,
        target="imports.filesystem_store_datadir",
        default_text="`/var/lib/glance/os_glance_staging_store`; `staging` in `[glimpse] data_dir` without "
        "`[database] connection`",
        help="The same as `node_staging_uri`, with `enabled_backends`.",
    ),
    Option(
        section="DEFAULT", name="worker_self_reference_url", kind="string", check=checks.node_url,
        target="imports.worker_self_reference_url", default_text="`public_endpoint`",
        help="URL at which other nodes reach this one, if each has a staging area of its own. Nodes that share one set "
        "nothing, or all the same.",
    ),
    Option(
        section="image_import_opts", name="image_import_plugins", kind="bounded", target="import_plugins.names",
        check=checks.import_plugins,
        help="What is done with imported data before they are stored, in this order: `image_decompression`, "
        "`image_conversion`, `inject_image_metadata`, `no_op`. Copies (`copy-image`) are left as they are.",
    ),
    Option(
        section="image_conversion", name="output_format", kind="string", target="import_plugins.output_format",
        choices=("qcow2", "raw", "vmdk"), help="Format that `image_conversion` converts to.",
    ),
    Option(
        section="image_format", name="vmdk_allowed_types", kind="list", target="import_plugins.vmdk_types",
        help="Types of VMDK (`createType`) that `image_conversion` converts. The two of the default are the only ones "
        "that content inspection lets in.",
    ),
    Option(
        section="inject_metadata_properties", name="inject", kind="map", target="import_plugins.inject",
        check=checks.injected_properties, default_text="empty",
        help="Properties that `inject_image_metadata` sets on imported images. Names that begin with `os_glance` are "
        "left out.",
    ),
    Option(
        section="inject_metadata_properties", name="ignore_user_roles", kind="list",
        target="import_plugins.ignore_user_roles",
        help="Imports of users with one of these roles get none of them.",
    ),
)  # fmt: skip

_URI_FILTER = (
    Option(
        section="import_filtering_opts", name="allowed_schemes", kind="bounded", target="uri_filter.allowed_schemes",
        help="Allowed schemes of URLs that the service fetches for users; empty: all except `disallowed_schemes`.",
    ),
    Option(
        section="import_filtering_opts", name="disallowed_schemes", kind="bounded",
        target="uri_filter.disallowed_schemes", help="Refused schemes; used only if `allowed_schemes` is empty.",
    ),
    Option(
        section="import_filtering_opts", name="allowed_hosts", kind="bounded", target="uri_filter.allowed_hosts",
        help="Allowed hosts in URLs; empty: all except `disallowed_hosts`. Hosts listed here may have a loopback, "
        "link-local, multicast or reserved address, which is refused otherwise.",
    ),
    Option(
        section="import_filtering_opts", name="disallowed_hosts", kind="bounded",
        target="uri_filter.disallowed_hosts",
        help="Refused hosts; used only if `allowed_hosts` is empty. An address also refuses the names that resolve "
        "to it.",
    ),
    Option(
        section="import_filtering_opts", name="allowed_ports", kind="bounded", check=checks.ports,
        target="uri_filter.allowed_ports",
        help="Allowed ports in URLs; empty: all except `disallowed_ports`. URLs without a port are always allowed.",
    ),
    Option(
        section="import_filtering_opts", name="disallowed_ports", kind="bounded", check=checks.ports,
        target="uri_filter.disallowed_ports", help="Refused ports; used only if `allowed_ports` is empty.",
    ),
)  # fmt: skip

_LOGGING = (
    Option(section="DEFAULT", name="debug", kind="boolean", target="logging.debug", help="Log at level DEBUG."),
    Option(
        section="DEFAULT", name="log_file", kind="string", default_text="none: standard error",
        help="File to log to, relative to `log_dir`. It is reopened when it is moved away (log rotation).",
    ),
    Option(
        section="DEFAULT", name="log_dir", kind="string", default_text="none",
        help="Directory of `log_file`. If `log_file` is not set, the log is `glimpse.log` in this directory.",
    ),
    Option(
        section="DEFAULT", name="use_json", kind="boolean", default_text="`false`",
        help="The same as `[glimpse] log_format = json`.",
    ),
    Option(
        section="DEFAULT", name="default_log_levels", kind="list", check=checks.log_levels,
        default_text="libraries at WARN or INFO, as in glance-api.conf", help="Log levels of individual loggers.",
    ),
)  # fmt: skip

_DATABASE = (
    Option(
        section="database", name="connection", kind="string", secret=True, check=checks.database_url,
        default_text="SQLite: `glimpse.sqlite` in `[glimpse] data_dir`", help="URL of the database.",
        moved_from=(("DEFAULT", "sql_connection"), ("database", "sql_connection"), ("sql", "connection")),
    ),
    Option(
        section="database", name="slave_connection", kind="string", secret=True, check=checks.database_url_or_none,
        default_text="none", help="URL of a read replica.",
    ),
    Option(
        section="database", name="synchronous_reader", kind="boolean", target="database.synchronous_reader",
        help="`true`: send all reads to the main database. `false`: send the reads of GET requests to the replica.",
    ),
    Option(
        section="database", name="connection_parameters", kind="string", secret=True, default_text="empty",
        help="Appended to both URLs.",
    ),
    Option(
        section="database", name="max_pool_size", kind="integer", minimum=0, target="database.max_pool_size",
        default_text="one for each thread",
        help="Connections that each worker keeps open; 0: no limit. If not set, one for each of `request_threads` "
        "and `job_threads`, and four more; in `glimpse registry`, one for each of `registry_threads`.",
        moved_from=(("DEFAULT", "sql_max_pool_size"), ("database", "sql_max_pool_size")),
    ),
    Option(
        section="database", name="max_overflow", kind="integer", minimum=-1, target="database.max_overflow",
        help="Additional connections for bursts; -1: no limit.",
        moved_from=(("DEFAULT", "sql_max_overflow"), ("database", "sqlalchemy_max_overflow")),
    ),
    Option(
        section="database", name="pool_timeout", kind="integer", minimum=0, target="database.pool_timeout",
        default_text="`30`, the pool's own", help="Seconds to wait for a free connection of the pool.",
        moved_from=(("database", "sqlalchemy_pool_timeout"),),
    ),
    Option(
        section="database", name="connection_recycle_time", kind="integer", minimum=-1,
        target="database.connection_recycle_time", help="Seconds after which a connection is replaced; -1: never.",
        moved_from=(
            ("database", "idle_timeout"), ("database", "sql_idle_timeout"), ("DEFAULT", "sql_idle_timeout"),
            ("sql", "idle_timeout"),
        ),
    ),
    Option(
        section="database", name="max_retries", kind="integer", minimum=-1, target="database.max_retries",
        help="How often a starting process retries while the database server does not answer; -1: until it answers.",
        moved_from=(("DEFAULT", "sql_max_retries"), ("database", "sql_max_retries")),
    ),
    Option(
        section="database", name="retry_interval", kind="number", minimum=0, target="database.retry_interval",
        help="Seconds between these retries.",
        moved_from=(("DEFAULT", "sql_retry_interval"), ("database", "reconnect_interval")),
    ),
    Option(
        section="database", name="use_db_reconnect", kind="boolean", target="database.use_db_reconnect",
        help="Let operations wait for a database server that does not answer, instead of failing with 503.",
    ),
    Option(
        section="database", name="db_max_retries", kind="integer", minimum=-1, target="database.db_max_retries",
        help="How often they retry, and how often a change is repeated after a deadlock or serialization failure; "
        "-1: without limit.",
    ),
    Option(
        section="database", name="db_retry_interval", kind="number", minimum=0, target="database.db_retry_interval",
        help="Seconds before the first retry.",
    ),
    Option(
        section="database", name="db_inc_retry_interval", kind="boolean", target="database.db_inc_retry_interval",
        help="Double the interval after each retry.",
    ),
    Option(
        section="database", name="db_max_retry_interval", kind="number", minimum=0,
        target="database.db_max_retry_interval", help="Longest interval between retries, in seconds.",
    ),
    Option(
        section="database", name="sqlite_synchronous", kind="boolean", target="database.sqlite_synchronous",
        help="Make SQLite wait until data are on disk.",
    ),
    Option(
        section="DEFAULT", name="metadata_encryption_key", kind="string", secret=True, default_text="none",
        target="database.metadata_encryption_key", check=checks.encryption_key,
        help="AES key of 16, 24 or 32 bytes that encrypts location URLs in the database. Unencrypted rows are "
        "still read.",
    ),
    Option(
        section="database", name="mysql_sql_mode", kind="string", target="database.mysql_sql_mode",
        help="SQL mode of MySQL and MariaDB sessions; empty: the server's default.",
    ),
    Option(
        section="database", name="mysql_wsrep_sync_wait", kind="integer", minimum=0, maximum=15,
        target="database.mysql_wsrep_sync_wait", help="`wsrep_sync_wait` of sessions in a Galera cluster.",
    ),
    Option(
        section="database", name="connection_debug", kind="integer", minimum=0, maximum=100,
        target="database.connection_debug",
        help="50 and above: log statements, without their values. 100: also log result rows, with their values.",
        moved_from=(("DEFAULT", "sql_connection_debug"),),
    ),
    Option(
        section="database", name="connection_trace", kind="boolean", target="database.connection_trace",
        help="Begin each statement with a comment that names the function that sent it.",
        moved_from=(("DEFAULT", "sql_connection_trace"),),
    ),
)  # fmt: skip

_POLICY = (
    Option(
        section="oslo_policy", name="policy_file", kind="string", target="policy.policy_file", check=checks.not_empty,
        help="File of rules that override the defaults; a relative path is looked up beside the configuration files.",
    ),
    Option(
        section="oslo_policy", name="policy_dirs", kind="multi", target="policy.policy_dirs",
        help="Directories of more such files, read in name order.",
    ),
    Option(
        section="oslo_policy", name="policy_default_rule", kind="string", target="policy.policy_default_rule",
        check=checks.not_empty, help="Rule to apply if a named rule does not exist.",
    ),
    Option(
        section="oslo_policy", name="enforce_new_defaults", kind="boolean", target="policy.enforce_new_defaults",
        help="`false`: also accept the defaults of releases before secure RBAC.",
    ),
    Option(
        section="DEFAULT", name="property_protection_file", kind="string", target="policy.property_protection_file",
        help="File that says who may create, read, update and delete which custom properties.",
    ),
    Option(
        section="DEFAULT", name="property_protection_rule_format", kind="string", choices=("roles", "policies"),
        target="policy.property_protection_rule_format", help="Whether that file lists roles or policy rules.",
    ),
)  # fmt: skip

_STORES = (
    Option(
        section="DEFAULT", name="enabled_backends", kind="map", default_text="none: one store, from `[glance_store]`",
        help="Named stores, each as `id:kind`. Each has a section named after its id.",
    ),
    Option(
        section="glance_store", name="default_backend", kind="string", default_text="none",
        help="Id of the store for data that name no store; required with `enabled_backends`.",
    ),
    Option(
        section="glance_store", name="stores", kind="list", check=checks.not_empty, default_text="`file,http`",
        help="Kinds of store; used only without `enabled_backends`.",
    ),
    Option(
        section="glance_store", name="default_store", kind="string", default_text="`file`",
        help="Kind or URI scheme of the store for new data; used only without `enabled_backends`.",
    ),
)  # fmt: skip

_NOTIFICATIONS = (
    Option(
        section="DEFAULT", name="default_publisher_id", kind="string", target="notifications.publisher_id",
        help="`publisher_id` of notifications.",
    ),
    Option(
        section="DEFAULT", name="disabled_notifications", kind="list", target="notifications.disabled",
        help="Events that are not sent; `image` or `image.member` stands for all events that begin with it.",
    ),
    Option(
        section="DEFAULT", name="transport_url", kind="string", secret=True, default_text="`rabbit://`",
        help="The message bus.",
    ),
    Option(
        section="DEFAULT", name="control_exchange", kind="string", default_text="`glance`",
        help="Exchange on the message bus for notifications.",
    ),
    Option(
        section="oslo_messaging_notifications", name="driver", kind="multi", target="notifications.drivers",
        help="How notifications are sent: `messagingv2`, `messaging`, `log`, `routing`, `noop`. None: not at all.",
    ),
    Option(
        section="oslo_messaging_notifications", name="transport_url", kind="string", secret=True,
        default_text="that of `[DEFAULT]`", help="The message bus for notifications.",
    ),
    Option(
        section="oslo_messaging_notifications", name="topics", kind="list", target="notifications.topics",
        help="Topics of notifications; the queues are `<topic>.info` and `<topic>.error`.",
    ),
    Option(
        section="oslo_messaging_notifications", name="retry", kind="integer", minimum=-1,
        target="notifications.retry",
        help="How often to retry a notification; -1: as long as the service runs, 0: never.",
    ),
    Option(
        section="oslo_messaging_notifications", name="routing_config", kind="string",
        target="notifications.routing_config", default_text="none", help="Configuration file of the driver `routing`.",
    ),
)  # fmt: skip

GLANCE_OPTIONS: tuple[Option, ...] = (
    *_LISTEN, *_API, *_LIMITS, *_FORMATS, *_JOBS, *_IMPORTS, *_URI_FILTER, *_LOGGING, *_DATABASE, *_POLICY, *_STORES,
    *_NOTIFICATIONS,
)  # fmt: skip
