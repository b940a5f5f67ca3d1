"""The section ``[glimpse]``: what the service has beyond the options of glance-api.conf."""

from __future__ import annotations

from glimpse.settings import checks
from glimpse.settings.options import Option

SECTION = "glimpse"

AUTH_KINDS = ("none", "basic", "headers", "keystone")

OWN_OPTIONS: tuple[Option, ...] = (
    Option(
        section=SECTION, name="data_dir", kind="string", target="data_dir", check=checks.directory_name,
        default_text="`$XDG_DATA_HOME/glimpse`, else `~/.local/share/glimpse`",
        help="Directory of what the service keeps itself: the embedded database `glimpse.sqlite` and `images/`.",
    ),
    Option(
        section=SECTION, name="auth", kind="string", choices=AUTH_KINDS, target="auth.kind",
        default_text="from `[paste_deploy] flavor`: a keystone flavor means `keystone`, any other `none`",
        help="How callers are known. `none`: everybody is admin, on loopback only. `basic`: HTTP basic against "
        "`htpasswd_file`. `headers`: an authenticating proxy in `trusted_proxies` says who it is. `keystone`: tokens.",
    ),
    Option(
        section=SECTION, name="htpasswd_file", kind="string", target="auth.htpasswd_file", check=checks.not_empty,
        help="Users and bcrypt hashes (`htpasswd -B`), needed by auth `basic`.",
    ),
    Option(
        section=SECTION, name="users_file", kind="string", target="auth.users_file", check=checks.not_empty,
        help="Projects and roles of the users of auth `basic`.",
    ),
    Option(
        section=SECTION, name="failed_logins_per_address", kind="integer", minimum=0, maximum=100000,
        target="auth.failures_per_address",
        help="Wrong passwords a minute that each worker looks at from one address, for auth `basic`; further ones are "
        "answered 429. 0: any number, for a service behind a proxy, where all clients have the proxy's address.",
    ),
    Option(
        section=SECTION, name="trusted_proxies", kind="list", target="auth.trusted_proxies", check=checks.networks,
        help="Networks (CIDR) whose identity headers are believed, for auth `headers`.",
    ),
    Option(
        section=SECTION, name="token_cache_time", kind="number", minimum=0, target="auth.token_cache_time",
        help="Seconds that a Keystone token counts in one worker without another look; 0: none. Comes on top of "
        "`[keystone_authtoken] token_cache_time`, and is never longer than that.",
    ),
    Option(
        section=SECTION, name="server", kind="string", choices=("granian", "uvicorn"), target="listen.server",
        help="The HTTP server. `uvicorn` has to be installed (`pip install 'glimpse-images[uvicorn]'`).",
    ),
    Option(
        section=SECTION, name="drain_time", kind="number", minimum=0, target="listen.drain_seconds",
        help="Seconds that running transfers get to end after SIGTERM.",
    ),
    Option(
        section=SECTION, name="connections", kind="integer", minimum=16, maximum=32000, target="listen.connections",
        help="Connections that each worker holds at most. A worker that has nearly as many closes idle ones, the "
        "longest idle first. Fewer when the limit of open files is too low: two for each connection, and 128.",
    ),
    Option(
        section=SECTION, name="request_threads", kind="integer", minimum=1, maximum=1024,
        target="listen.request_threads", help="Threads for metadata requests, in each worker.",
    ),
    Option(
        section=SECTION, name="transfer_threads", kind="integer", minimum=1, maximum=4096,
        target="listen.transfer_threads",
        help="Threads for uploads, as many for downloads, and as many for deletions and changes of locations, in each "
        "worker. Of the last two kinds no project and no store gets more than half. An upload needs one only while it "
        "has 1 MiB of data, or the last of them, to work on.",
    ),
    Option(
        section=SECTION, name="body_timeout", kind="number", target="listen.body_timeout",
        check=checks.more_than_zero, help="Seconds without a byte of a request body before the request is given up.",
    ),
    Option(
        section=SECTION, name="min_body_rate", kind="integer", minimum=0, target="listen.min_body_rate",
        help="Bytes a second that the data of an upload must bring on average; 0: any rate. A slower upload is "
        "answered 408. Time that the service itself needs does not count.",
    ),
    Option(
        section=SECTION, name="min_body_rate_time", kind="number", target="listen.min_body_rate_time",
        check=checks.more_than_zero, help="Seconds that this average is taken over.",
    ),
    Option(
        section=SECTION, name="max_uploads", kind="integer", minimum=1, target="listen.max_uploads",
        help="Uploads that each worker has running at the same time; the next is answered 503 with `Retry-After`. "
        "An upload takes up to 3 MiB of memory.",
    ),
    Option(
        section=SECTION, name="max_uploads_per_project", kind="integer", minimum=1,
        target="listen.max_uploads_per_project",
        help="Uploads that each worker has running at the same time for one project; the next of this project is "
        "answered 503 with `Retry-After`.",
    ),
    Option(
        section=SECTION, name="write_timeout", kind="number", minimum=1, maximum=86400, target="listen.write_timeout",
        help="Seconds in which a client takes nothing of an answer before its connection is cut. A client that takes "
        "its data slowly is not cut.",
    ),
    Option(
        section=SECTION, name="max_downloads", kind="integer", minimum=1, maximum=1 << 20,
        target="listen.max_downloads",
        help="Downloads that run at the same time in each worker; any more are answered 503 with `Retry-After`.",
    ),
    Option(
        section=SECTION, name="max_downloads_per_project", kind="integer", minimum=1, maximum=1 << 20,
        target="listen.max_downloads_per_project", help="The same for the callers of one project.",
    ),
    Option(
        section=SECTION, name="download_memory", kind="integer", minimum=0, maximum=1 << 40,
        target="listen.download_memory",
        help="Bytes that all downloads of a worker may hold together for clients that take data fast. Beyond it each "
        "download holds less than 1 MiB, also of a fast client.",
    ),
    Option(
        section=SECTION, name="store_open_timeout", kind="number", target="data_sources.open_timeout",
        check=checks.more_than_zero,
        help="Seconds until a store has opened the data at one location, everything included; after them the next "
        "location is tried, and after the last one a download is answered 503.",
    ),
    Option(
        section=SECTION, name="max_images_per_project", kind="integer", minimum=0,
        target="quotas.max_images_per_project",
        help="Images that one project may have, with and without data; 0: no limit. One more is refused with 413. "
        "Without effect with `use_keystone_limits`.",
    ),
    Option(
        section=SECTION, name="least_source_rate", kind="integer", minimum=0, maximum=1 << 30,
        target="data_sources.least_rate",
        help="Bytes a second that a web server must send of the data of a location, on average of a minute of waiting "
        "for it. A download or a job that gets less ends with the reason; 0: any rate will do.",
    ),
    Option(
        section=SECTION, name="metrics_host", kind="string", target="metrics.host", check=checks.not_empty,
        help="Address of the metrics endpoint.",
    ),
    Option(
        section=SECTION, name="metrics_port", kind="integer", minimum=1, maximum=65535, target="metrics.port",
        default_text="none: no metrics endpoint",
        help="Port of the Prometheus endpoint; without it nothing is measured.",
    ),
    Option(
        section=SECTION, name="log_format", kind="string", choices=("classic", "json"), target="logging.format",
        default_text="`json` with `[DEFAULT] use_json`, else `classic`",
        help="`classic`: the line format of OpenStack services. `json`: one object a line.",
    ),
    Option(
        section=SECTION, name="lease_time", kind="number", minimum=0.1, target="leases.lifetime",
        help="Seconds after which the work of a process that died is taken over.",
    ),
    Option(
        section=SECTION, name="lease_heartbeat", kind="number", minimum=0.02, target="leases.heartbeat",
        help="Seconds between renewals of leases; at most half of `lease_time`.",
    ),
    Option(
        section=SECTION, name="job_threads", kind="integer", minimum=0, maximum=256, target="jobs.threads",
        help="Jobs that each worker of `glimpse serve`, and each `glimpse worker`, runs at the same time, of one "
        "project half of them at most. "
        "0: `glimpse serve` runs none, which leaves them to `glimpse worker`.",
    ),
    Option(
        section=SECTION, name="job_interval", kind="number", target="jobs.interval", check=checks.more_than_zero,
        help="Seconds between looks for jobs that other processes recorded or left unfinished.",
    ),
    Option(
        section=SECTION, name="compress_lists", kind="boolean", target="api.compress_lists",
        help="Lists and other answers in JSON of more than 1 KiB (a list of two images) go as gzip to clients that ask "
        "for it; shorter answers and data of images never do.",
    ),
    Option(
        section=SECTION, name="signature_trusted_certificates", kind="list", target="signatures.trusted_certificates",
        help="Ids of certificates in the key manager. With them, the certificate of a signed image must be in force "
        "and lead to one of them.",
    ),
    Option(
        section=SECTION, name="registry_ca_file", kind="string", target="registry.ca_file", check=checks.not_empty,
        help="CA of the registry's servers, PEM. With a `[database] connection` of `registry+https://HOST:PORT` this "
        "and the next two are needed, and are read again when they change.",
    ),
    Option(
        section=SECTION, name="registry_cert_file", kind="string", target="registry.cert_file", check=checks.not_empty,
        help="Certificate of this node for the registry, PEM; it says the node's name and role there.",
    ),
    Option(
        section=SECTION, name="registry_key_file", kind="string", target="registry.key_file", check=checks.not_empty,
        help="Private key of that certificate, PEM, without a password.",
    ),
    Option(
        section=SECTION, name="registry_timeout", kind="number", target="registry.timeout",
        check=checks.more_than_zero, help="Seconds that one call to the registry may take, everything included.",
    ),
    Option(
        section=SECTION, name="registry_connect_timeout", kind="number", target="registry.connect_timeout",
        check=checks.more_than_zero,
        help="Seconds that a new connection to a server of the registry may take, up to the first answer on it.",
    ),
    Option(
        section=SECTION, name="registry_pool_size", kind="integer", minimum=1, maximum=1024,
        target="registry.pool_size",
        help="Connections to one server of the registry that each worker keeps open while they are idle.",
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
        help="Calls that each worker of `glimpse registry` answers at the same time. Each may need a connection to the "
        "database, see `[database] max_pool_size` and `max_overflow`.",
    ),
    Option(
        section=SECTION, name="registry_queue", kind="integer", minimum=0, maximum=1 << 20,
        target="registry_server.queue",
        help="Calls that wait in each worker of `glimpse registry` for a thread; any more are refused at once.",
    ),
    Option(
        section=SECTION, name="registry_server_cert_file", kind="string", target="registry_server.cert_file",
        check=checks.not_empty,
        help="Certificate of `glimpse registry` with those between it and the CA, PEM. It and the next two are needed "
        "to start it, and are read again when they change.",
    ),
    Option(
        section=SECTION, name="registry_server_key_file", kind="string", target="registry_server.key_file",
        check=checks.not_empty, help="Private key of that certificate, PEM, without a password.",
    ),
    Option(
        section=SECTION, name="registry_client_ca_file", kind="string", target="registry_server.client_ca_file",
        check=checks.not_empty,
        help="CAs whose clients may connect to `glimpse registry`, PEM. Nobody connects without a certificate of them.",
    ),
    Option(
        section=SECTION, name="registry_roles", kind="map", target="registry_server.roles",
        check=checks.registry_roles, default_text="empty: the certificates of the clients say it",
        help="Which clients of `glimpse registry` are `api` and which are `admin`, by the common name of their "
        "certificates; whoever is not named may call nothing.",
    ),
    Option(
        section=SECTION, name="uninspected_containers", kind="list", target="formats.uninspected_containers",
        check=checks.containers,
        help="Container formats other than `bare` whose data are taken without inspection, also when they hold disks "
        "that name other files.",
    ),
    Option(
        section=SECTION, name="max_json_body", kind="integer", minimum=1024, maximum=1 << 30,
        target="limits.max_json_body", help="Largest JSON request body that is read, in bytes.",
    ),
    Option(
        section=SECTION, name="database_reserve", kind="integer", minimum=0, target="limits.database_reserve",
        help="Bytes that stay free on the file system of an SQLite database, so that images can always be deleted. "
        "With less, requests that create, change or upload are answered 503. 0: none.",
    ),
)  # fmt: skip
