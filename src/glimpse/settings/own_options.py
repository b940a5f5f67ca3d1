"""The section ``[glimpse]``: options that glance-api.conf does not have."""

from __future__ import annotations

from glimpse.settings import checks
from glimpse.settings.options import Option

SECTION = "glimpse"

AUTH_KINDS = ("none", "basic", "headers", "keystone")

OWN_OPTIONS: tuple[Option, ...] = (
    Option(
        section=SECTION, name="data_dir", kind="string", target="data_dir", check=checks.directory_name,
        default_text="`$XDG_DATA_HOME/glimpse`, else `~/.local/share/glimpse`",
        help="Directory for the embedded database `glimpse.sqlite` and for `images/`.",
    ),
    Option(
        section=SECTION, name="auth", kind="string", choices=AUTH_KINDS, target="auth.kind",
        default_text="from `[paste_deploy] flavor`: a keystone flavor means `keystone`, any other `none`",
        help="How callers are authenticated. `none`: everybody is admin, loopback only. `basic`: HTTP basic "
        "against `htpasswd_file`. `headers`: identity headers set by a proxy in `trusted_proxies`. "
        "`keystone`: Keystone tokens.",
    ),
    Option(
        section=SECTION, name="htpasswd_file", kind="string", target="auth.htpasswd_file", check=checks.not_empty,
        help="User names and bcrypt hashes (`htpasswd -B`); required by auth `basic`.",
    ),
    Option(
        section=SECTION, name="users_file", kind="string", target="auth.users_file", check=checks.not_empty,
        help="Projects and roles of the users of auth `basic`.",
    ),
    Option(
        section=SECTION, name="failed_logins_per_address", kind="integer", minimum=0, maximum=100000,
        target="auth.failures_per_address",
        help="Wrong passwords per minute that each worker checks from one address, with auth `basic`; more are "
        "answered 429. 0: no limit, for a service behind a proxy, where all clients have the proxy's address.",
    ),
    Option(
        section=SECTION, name="trusted_proxies", kind="list", target="auth.trusted_proxies", check=checks.networks,
        help="Networks (CIDR) whose identity headers are accepted, with auth `headers`.",
    ),
    Option(
        section=SECTION, name="token_cache_time", kind="number", minimum=0, target="auth.token_cache_time",
        help="Seconds that a worker trusts a Keystone token before it checks it again; 0: no cache. Adds to "
        "`[keystone_authtoken] token_cache_time`, and is never longer than that.",
    ),
    Option(
        section=SECTION, name="server", kind="string", choices=("granian", "uvicorn"), target="listen.server",
        help="The HTTP server. `uvicorn` must be installed (`pip install 'glimpse-images[uvicorn]'`).",
    ),
    Option(
        section=SECTION, name="drain_time", kind="number", minimum=0, target="listen.drain_seconds",
        help="Seconds that running transfers get to finish after SIGTERM.",
    ),
    Option(
        section=SECTION, name="connections", kind="integer", minimum=16, maximum=32000, target="listen.connections",
        help="Maximum number of connections per worker. A worker that is nearly full closes idle connections, the "
        "longest idle first. The number is lower if the limit on open files is too low: it needs two files "
        "per connection, and 128.",
    ),
    Option(
        section=SECTION, name="request_threads", kind="integer", minimum=1, maximum=1024,
        target="listen.request_threads", help="Threads for metadata requests, in each worker.",
    ),
    Option(
        section=SECTION, name="transfer_threads", kind="integer", minimum=1, maximum=4096,
        target="listen.transfer_threads",
        help="Threads for uploads, as many for downloads, and as many for deletions and changes of locations, in "
        "each worker. No project and no store gets more than half of the latter two. An upload needs a thread "
        "only while it has 1 MiB of data, or its last part, to process.",
    ),
    Option(
        section=SECTION, name="body_timeout", kind="number", target="listen.body_timeout",
        check=checks.more_than_zero,
        help="Seconds without a byte of the request body after which the request is aborted.",
    ),
    Option(
        section=SECTION, name="min_body_rate", kind="integer", minimum=0, target="listen.min_body_rate",
        help="Minimum average upload rate, in bytes per second; 0: no minimum. A slower upload is answered 408. "
        "Time that the service itself takes does not count.",
    ),
    Option(
        section=SECTION, name="min_body_rate_time", kind="number", target="listen.min_body_rate_time",
        check=checks.more_than_zero, help="Seconds over which this average is measured.",
    ),
    Option(
        section=SECTION, name="max_uploads", kind="integer", minimum=1, target="listen.max_uploads",
        help="Maximum number of concurrent uploads per worker; more are answered 503 with `Retry-After`. An upload "
        "takes up to 3 MiB of memory.",
    ),
    Option(
        section=SECTION, name="max_uploads_per_project", kind="integer", minimum=1,
        target="listen.max_uploads_per_project",
        help="Maximum number of concurrent uploads of one project per worker; more are answered 503 with "
        "`Retry-After`.",
    ),
    Option(
        section=SECTION, name="write_timeout", kind="number", minimum=1, maximum=86400, target="listen.write_timeout",
        help="Seconds after which the connection of a client that reads nothing is closed. A client that reads "
        "slowly is not disconnected.",
    ),
    Option(
        section=SECTION, name="max_downloads", kind="integer", minimum=1, maximum=1 << 20,
        target="listen.max_downloads",
        help="Maximum number of concurrent downloads per worker; more are answered 503 with `Retry-After`.",
    ),
    Option(
        section=SECTION, name="max_downloads_per_project", kind="integer", minimum=1, maximum=1 << 20,
        target="listen.max_downloads_per_project",
        help="Maximum number of concurrent downloads of one project per worker; more are answered 503 with "
        "`Retry-After`.",
    ),
    Option(
        section=SECTION, name="download_memory", kind="integer", minimum=0, maximum=1 << 40,
        target="listen.download_memory",
        help="Bytes of buffers that all downloads of a worker together may use for fast clients. Beyond it, each "
        "download uses less than 1 MiB, for fast clients too.",
    ),
    Option(
        section=SECTION, name="store_open_timeout", kind="number", target="data_sources.open_timeout",
        check=checks.more_than_zero,
        help="Seconds that a store may take to open the data at one location, in total. After that the next "
        "location is tried; after the last one, a download is answered 503.",
    ),
    Option(
        section=SECTION, name="store_call_timeout", kind="number", target="store_calls.timeout",
        check=checks.zero_or_more,
        help="Seconds after which a store is given up that does not open, look at or delete an object; 0: never. "
        "Reading and writing an open object may take any time. `filesystem_store_timeout` of a store comes first.",
    ),
    Option(
        section=SECTION, name="store_retries", kind="integer", minimum=0, maximum=10, target="store_calls.retries",
        help="How often opening, looking at or deleting an object is repeated when the store does not work now, after "
        "0.2 seconds at first. A call that took more than 5 seconds is not repeated, and writing never is.",
    ),
    Option(
        section=SECTION, name="store_max_streams", kind="integer", minimum=0, maximum=1 << 20,
        target="store_calls.max_streams",
        help="Objects of one store that each worker reads and writes at the same time; 0: any number. Beyond it "
        "the next copy is read, or the answer is 503 with `Retry-After`.",
    ),
    Option(
        section=SECTION, name="store_probe_interval", kind="number", target="store_calls.probe_interval",
        check=checks.more_than_zero,
        help="Seconds between checks whether a store works, in each process; at most 5 for a store that is down. The "
        "log, the metric `glimpse_store_up` and `/healthcheck` name the stores that are down.",
    ),
    Option(
        section=SECTION, name="healthcheck_required_stores", kind="list", target="api.healthcheck_required_stores",
        help="Ids of stores (`default` without `enabled_backends`) without which `/healthcheck` answers 503, so that a "
        "load balancer sends requests to other nodes. Without the option a store that is down is named, and the answer "
        "stays 200.",
    ),
    Option(
        section=SECTION, name="max_images_per_project", kind="integer", minimum=0,
        target="quotas.max_images_per_project",
        help="Maximum number of images per project, with or without data; 0: no limit. One more is refused with "
        "413. Ignored with `use_keystone_limits`.",
    ),
    Option(
        section=SECTION, name="least_source_rate", kind="integer", minimum=0, maximum=1 << 30,
        target="data_sources.least_rate",
        help="Minimum rate, in bytes per second, at which a web server must send the data of a location, averaged "
        "over each minute spent waiting for it. A slower download or job ends with an error; 0: no minimum.",
    ),
    Option(
        section=SECTION, name="source_time_limit", kind="number", minimum=0, target="data_sources.time_limit",
        help="Seconds within which an import must have read the data of its URL, pauses and new connections included; "
        "0: no limit. A process that takes the import over has as much time again.",
    ),
    Option(
        section=SECTION, name="metrics_host", kind="string", target="metrics.host", check=checks.not_empty,
        help="Address of the metrics endpoint.",
    ),
    Option(
        section=SECTION, name="metrics_port", kind="integer", minimum=1, maximum=65535, target="metrics.port",
        default_text="none: no metrics endpoint",
        help="Port of the Prometheus endpoint; if not set, nothing is measured.",
    ),
    Option(
        section=SECTION, name="log_format", kind="string", choices=("classic", "json"), target="logging.format",
        default_text="`json` with `[DEFAULT] use_json`, else `classic`",
        help="`classic`: the line format of OpenStack services. `json`: one JSON object per line.",
    ),
    Option(
        section=SECTION, name="lease_time", kind="number", minimum=0.1, target="leases.lifetime",
        help="Seconds after which another process takes over the work of a process that died.",
    ),
    Option(
        section=SECTION, name="lease_heartbeat", kind="number", minimum=0.02, target="leases.heartbeat",
        help="Seconds between lease renewals; at most half of `lease_time`.",
    ),
    Option(
        section=SECTION, name="job_threads", kind="integer", minimum=0, maximum=256, target="jobs.threads",
        help="Concurrent jobs in each worker of `glimpse serve` and in each `glimpse worker`, at most half of them "
        "for one project. 0: `glimpse serve` runs no jobs and leaves them to `glimpse worker`.",
    ),
    Option(
        section=SECTION, name="job_interval", kind="number", target="jobs.interval", check=checks.more_than_zero,
        help="Seconds between checks for jobs that other processes recorded or left unfinished.",
    ),
    Option(
        section=SECTION, name="compress_lists", kind="boolean", target="api.compress_lists",
        help="Compress lists and other JSON responses of more than 1 KiB (a list of two images) with gzip for "
        "clients that accept it. Shorter responses and image data are never compressed.",
    ),
    Option(
        section=SECTION, name="rewrite_locations", kind="boolean", target="stores.rewrites_locations",
        help="Rewrite locations from older versions of Glance in the current format: S3 without credentials, Cinder "
        "with the id of the store. Set it to `false` while a Glance with glance_store older than 5.7.0, which cannot "
        "read S3 locations without credentials, uses the same database.",
    ),
    Option(
        section=SECTION, name="presigned_urls", kind="boolean", target="api.presigned_urls",
        help="Give clients that ask for it (`GET /v2/images/{id}/file?presigned=true`) a URL at which they read the "
        "data from the store itself, if the store can sign one; see [stores.md](stores.md#presigned-urls).",
    ),
    Option(
        section=SECTION, name="presigned_url_time", kind="integer", minimum=1, maximum=604800,
        target="api.presigned_url_time",
        help="How long a presigned URL is valid, in seconds. Until it expires, everybody who has the URL can start a "
        "download.",
    ),
    Option(
        section=SECTION, name="signature_trusted_certificates", kind="list", target="signatures.trusted_certificates",
        help="Certificate ids in the key manager. If set, the certificate of a signed image must be valid now and "
        "lead to one of them.",
    ),
    Option(
        section=SECTION, name="registry_ca_file", kind="string", target="registry.ca_file", check=checks.not_empty,
        help="CA of the registry's servers, PEM. A `[database] connection` of `registry+https://HOST:PORT` "
        "requires this option and the next two. The files are reread when they change.",
    ),
    Option(
        section=SECTION, name="registry_cert_file", kind="string", target="registry.cert_file", check=checks.not_empty,
        help="Certificate of this node for the registry, PEM; it contains the node's name and role.",
    ),
    Option(
        section=SECTION, name="registry_key_file", kind="string", target="registry.key_file", check=checks.not_empty,
        help="Private key of that certificate, PEM, without a password.",
    ),
    Option(
        section=SECTION, name="registry_timeout", kind="number", target="registry.timeout",
        check=checks.more_than_zero, help="Seconds that one call to the registry may take, in total.",
    ),
    Option(
        section=SECTION, name="registry_connect_timeout", kind="number", target="registry.connect_timeout",
        check=checks.more_than_zero,
        help="Seconds that a new connection to a registry server may take, up to its first answer.",
    ),
    Option(
        section=SECTION, name="registry_pool_size", kind="integer", minimum=1, maximum=1024,
        target="registry.pool_size",
        help="Idle connections that each worker keeps open to one registry server.",
    ),
    Option(
        section=SECTION, name="registry_host", kind="string", target="registry_server.host", check=checks.not_empty,
        help="Address that `glimpse registry` listens on.",
    ),
    Option(
        section=SECTION, name="registry_port", kind="integer", minimum=1, maximum=65535,
        target="registry_server.port", help="Port that `glimpse registry` listens on.",
    ),
    Option(
        section=SECTION, name="registry_workers", kind="integer", minimum=1, maximum=1024,
        target="registry_server.workers", help="Worker processes of `glimpse registry`.",
    ),
    Option(
        section=SECTION, name="registry_threads", kind="integer", minimum=1, maximum=1024,
        target="registry_server.threads",
        help="Calls that each worker of `glimpse registry` processes at the same time. Each may need a database "
        "connection; see `[database] max_pool_size` and `max_overflow`.",
    ),
    Option(
        section=SECTION, name="registry_queue", kind="integer", minimum=0, maximum=1 << 20,
        target="registry_server.queue",
        help="Calls that may wait for a thread in each worker of `glimpse registry`; more are refused at once.",
    ),
    Option(
        section=SECTION, name="registry_server_cert_file", kind="string", target="registry_server.cert_file",
        check=checks.not_empty,
        help="Certificate of `glimpse registry` with its intermediate certificates, PEM. `glimpse registry` "
        "requires this option and the next two. The files are reread when they change.",
    ),
    Option(
        section=SECTION, name="registry_server_key_file", kind="string", target="registry_server.key_file",
        check=checks.not_empty, help="Private key of that certificate, PEM, without a password.",
    ),
    Option(
        section=SECTION, name="registry_client_ca_file", kind="string", target="registry_server.client_ca_file",
        check=checks.not_empty,
        help="CAs of the clients of `glimpse registry`, PEM. Clients without a certificate of these CAs cannot "
        "connect.",
    ),
    Option(
        section=SECTION, name="registry_roles", kind="map", target="registry_server.roles",
        check=checks.registry_roles, default_text="empty: the client certificates name their roles",
        help="Roles (`api` or `admin`) of the clients of `glimpse registry`, by the common name of their "
        "certificates. Clients that are not listed may call nothing.",
    ),
    Option(
        section=SECTION, name="uninspected_containers", kind="list", target="formats.uninspected_containers",
        check=checks.containers,
        help="Container formats other than `bare` whose data are accepted without inspection, even if they contain "
        "disks that refer to other files.",
    ),
    Option(
        section=SECTION, name="staging_store", kind="string", target="imports.staging_store",
        help="Where data wait for their import: in a directory (`file`), or in a store of this kind, whose options are "
        "in `[os_glance_staging_store]`. The kinds are in the document about staging.",
    ),
    Option(
        section=SECTION, name="staging_unknown_time", kind="number", minimum=0,
        target="imports.staging_unknown_time",
        help="Seconds without a change after which staged data are removed whose image the database does not know. "
        "Data of deleted images are removed at once.",
    ),
    Option(
        section=SECTION, name="conversion_time", kind="integer", minimum=1,
        target="import_plugins.conversion_seconds",
        help="Seconds that the conversion of one image by `image_conversion` may take, and at most as much processor "
        "time.",
    ),
    Option(
        section=SECTION, name="max_json_body", kind="integer", minimum=1024, maximum=1 << 30,
        target="limits.max_json_body", help="Maximum size of a JSON request body, in bytes.",
    ),
    Option(
        section=SECTION, name="database_reserve", kind="integer", minimum=0, target="limits.database_reserve",
        help="Bytes to keep free on the file system of an SQLite database, so that images can always be deleted. "
        "With less free space, requests that create, change or upload are answered 503. 0: no reserve.",
    ),
)  # fmt: skip
