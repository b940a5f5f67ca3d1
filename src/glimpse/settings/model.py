"""The settings tree. It does not change after start; secrets have the type :class:`Secret`.

Names and defaults are Glance's if it has the option (configuration 3 to 7, store-formats 5 to 10); the others are in
``[glimpse]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Secret(str):
    """Text that is never printed: ``repr``, and every printed form of the settings, show ``***``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


#: Values of options that a library reads itself, by section and name.
Sections = Mapping[str, Mapping[str, Secret]]


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how HTTP is served."""

    host: str = "127.0.0.1"
    port: int = 9292
    workers: int = 1
    #: ``granian`` or ``uvicorn``
    server: str = "granian"
    #: seconds that running transfers get to finish after SIGTERM
    drain_seconds: float = 60.0
    #: threads for metadata requests, and for transfers, in each worker
    request_threads: int = 8
    transfer_threads: int = 64
    #: maximum number of connections per worker
    connections: int = 4096
    #: seconds without a byte of the request body after which the request is aborted
    body_timeout: float = 60.0
    #: minimum rate of a body in bytes per second, and the seconds over which it is averaged; 0: no minimum
    min_body_rate: int = 1024
    min_body_rate_time: float = 60.0
    #: maximum number of concurrent uploads per worker: of all projects, and of one
    max_uploads: int = 512
    max_uploads_per_project: int = 128
    #: seconds after which the connection of a client that reads nothing is closed
    write_timeout: float = 120.0
    #: maximum number of concurrent downloads per worker: of all projects, and of one
    max_downloads: int = 1000
    max_downloads_per_project: int = 500
    #: bytes of buffers of all downloads of a worker for fast clients, beyond 1 MiB each
    download_memory: int = 128 << 20


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """The Prometheus endpoint; without a port there is none."""

    host: str = "127.0.0.1"
    port: int | None = None


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """``format`` is ``classic`` (the line format of OpenStack services) or ``json`` (one object per line)."""

    debug: bool = False
    format: str = "classic"
    file: Path | None = None
    levels: tuple[tuple[str, str], ...] = ()


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[database]`` (configuration 5.1). Times in seconds."""

    connection: Secret
    #: a replica, for reads while ``synchronous_reader`` is false
    slave_connection: Secret | None = None
    synchronous_reader: bool = True
    #: 0: no limit; None: see ``startup.py``
    max_pool_size: int | None = None
    max_overflow: int = 50
    pool_timeout: int | None = None
    connection_recycle_time: int = 3600
    #: at start: number of retries (-1: no limit), and seconds between them
    max_retries: int = 10
    retry_interval: float = 10
    #: for each operation: whether it waits for a lost server, and how often it is repeated after a collision
    use_db_reconnect: bool = False
    db_max_retries: int = 20
    db_retry_interval: float = 1
    db_inc_retry_interval: bool = True
    db_max_retry_interval: float = 10
    sqlite_synchronous: bool = True
    mysql_sql_mode: str = "TRADITIONAL"
    mysql_wsrep_sync_wait: int | None = None
    #: 50: statements are logged, 100: results too
    connection_debug: int = 0
    connection_trace: bool = False
    #: encrypts URLs of locations (database 7.4); 16, 24 or 32 bytes in UTF-8
    metadata_encryption_key: Secret | None = None


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """``kind``: ``none``, ``basic``, ``headers`` or ``keystone`` (ARCHITECTURE.md, Identity)."""

    kind: str = "none"
    htpasswd_file: Path | None = None
    users_file: Path | None = None
    #: wrong passwords per minute that are checked from one address, for ``basic``; 0: no limit
    failures_per_address: int = 30
    #: networks (CIDR) whose identity headers are believed, for ``headers``
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    allow_anonymous_access: bool = False
    #: seconds that a checked token counts without another look, for ``keystone``
    token_cache_time: float = 10.0
    #: ``[keystone_authtoken]``, and the section that its ``auth_section`` names
    keystone: Sections = {}


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[oslo_policy]`` and property protections (configuration 8 and 9).

    Relative paths are searched in ``config_dirs``.
    """

    policy_file: str = "policy.yaml"
    policy_dirs: tuple[str, ...] = ("policy.d",)
    policy_default_rule: str = "default"
    enforce_new_defaults: bool = True
    property_protection_file: str | None = None
    #: ``roles`` or ``policies``
    property_protection_rule_format: str = "roles"
    config_dirs: tuple[Path, ...] = ()


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One store: ``options`` is the options struct of the driver of its ``kind``."""

    id: str
    kind: str
    options: msgspec.Struct
    description: str | None = None
    weight: int = 0


class UriFilter(msgspec.Struct, frozen=True, kw_only=True):
    """``[import_filtering_opts]``: which URLs of users are fetched (imports-and-stores 2.10).

    A list of what is allowed that is not empty makes the list of what is not allowed without effect.
    """

    allowed_schemes: tuple[str, ...] = ("http", "https")
    disallowed_schemes: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    disallowed_hosts: tuple[str, ...] = ()
    allowed_ports: tuple[str, ...] = ("80", "443")
    disallowed_ports: tuple[str, ...] = ()


class DataSources(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of those that data are read from."""

    #: seconds until the data at one location are open, everything included
    open_timeout: float = 30.0
    #: bytes a second that a web server must send, on average of a minute of waiting for it; 0: any
    least_rate: int = 1024
    #: seconds that an import may read from a URL in one run, pauses and new connections included; 0: any
    time_limit: float = 0.0


class StoreCalls(msgspec.Struct, frozen=True, kw_only=True):
    """How every store is called."""

    #: seconds after which opening, looking at and deleting an object are given up; 0: never
    timeout: float = 0.0
    #: how often such a call is repeated that failed for a passing reason
    retries: int = 1
    #: objects of one store that are read and written at the same time; 0: any number
    max_streams: int = 0
    #: seconds between probes of a store that works
    probe_interval: float = 30.0


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """The configured stores; ``named`` is true with ``enabled_backends`` (several stores)."""

    default: str
    stores: tuple[StoreSettings, ...]
    named: bool = False
    #: whether locations that older versions of Glance wrote are rewritten
    rewrites_locations: bool = True
    #: for stores that fetch URLs supplied by users
    uri_filter: UriFilter = UriFilter()
    data_sources: DataSources = DataSources()
    calls: StoreCalls = StoreCalls()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on one image and one list (images-api 6.1); negative counts mean no limit."""

    image_property_quota: int = 128
    image_tag_quota: int = 128
    image_member_quota: int = 128
    image_location_quota: int = 10
    image_size_cap: int = 1 << 40
    limit_param_default: int = 25
    api_limit_max: int = 1000
    max_request_id_length: int = 64
    #: maximum size of a JSON body, in bytes
    max_json_body: int = 4 << 20
    #: bytes to keep free on the file system of an SQLite database
    database_reserve: int = 64 << 20


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on all images of a project (images-api 6.2 and 6.3)."""

    use_keystone_limits: bool = False
    #: bytes; 0: no limit. Without effect with ``use_keystone_limits``
    user_storage_quota: int = 0
    #: 0: no limit. Without effect with ``use_keystone_limits``
    max_images_per_project: int = 0
    #: ``[oslo_limit]``, and the section that its ``auth_section`` names
    oslo_limit: Sections = {}


class Formats(msgspec.Struct, frozen=True, kw_only=True):
    """``[image_format]`` and hashing."""

    container_formats: tuple[str, ...] = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
    disk_formats: tuple[str, ...] = (
        "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop",
    )  # fmt: skip
    require_image_format_match: bool = True
    gpt_safety_checks_nonfatal: tuple[str, ...] = ()
    #: container formats whose content is not inspected; never ``bare``
    uninspected_containers: tuple[str, ...] = ()
    hashing_algorithm: str = "sha512"


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """Options of API responses."""

    public_endpoint: str | None = None
    enable_proxy_headers_parsing: bool = False
    show_image_direct_url: bool = False
    show_multiple_locations: bool = False
    image_cache: bool = False
    #: gzip for long JSON responses to clients that accept it
    compress_lists: bool = True
    healthcheck_disable_file: Path = Path("/etc/glance/healthcheck_disable")
    #: whether clients may ask for presigned URLs, and the seconds that these are valid
    presigned_urls: bool = False
    presigned_url_time: int = 300
    healthcheck_detailed: bool = False
    #: networks (CIDR) that may ask for the health; empty: all
    healthcheck_ranges: tuple[str, ...] = ()
    #: ids of stores without which the health check answers 503
    healthcheck_required_stores: tuple[str, ...] = ()


class Cors(msgspec.Struct, frozen=True, kw_only=True):
    """``[cors]``: which origins may use the API, and how (images-api 5.6). ``max_age`` is in seconds."""

    allowed_origin: tuple[str, ...] = ()
    allow_credentials: bool = True
    expose_headers: tuple[str, ...] = (
        "X-Image-Meta-Checksum", "X-Auth-Token", "X-Subject-Token", "X-Service-Token", "X-OpenStack-Request-ID",
    )  # fmt: skip
    max_age: int = 3600
    allow_methods: tuple[str, ...] = ("GET", "PUT", "POST", "DELETE", "PATCH")
    allow_headers: tuple[str, ...] = (
        "Content-MD5", "X-Image-Meta-Checksum", "X-Storage-Token", "Accept-Encoding", "X-Auth-Token",
        "X-Identity-Status", "X-Roles", "X-Service-Catalog", "X-User-Id", "X-Tenant-Id", "X-OpenStack-Request-ID",
    )  # fmt: skip


class Leases(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds: how long a lease lasts without renewal, and the interval of renewals and of checks for expired
    leases.
    """

    lifetime: float = 30.0
    heartbeat: float = 5.0


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """Background jobs: how many each process runs, and how long their records are kept."""

    #: concurrent jobs per process, at most half of them of one project; 0: none
    threads: int = 4
    #: seconds between checks for jobs of other processes
    interval: float = 2.0
    #: hours that a finished job is kept
    keep_hours: int = 48


class Locations(msgspec.Struct, frozen=True, kw_only=True):
    """Handling of added locations (imports-and-stores 5.4)."""

    do_secure_hash: bool = True
    http_retries: int = 3


class RegistryServer(msgspec.Struct, frozen=True, kw_only=True):
    """``glimpse registry``: the database for other nodes, over mutual TLS."""

    host: str = "127.0.0.1"
    port: int = 9191
    workers: int = 1
    #: concurrent and waiting calls in each worker
    threads: int = 16
    queue: int = 256
    #: PEM files: the server's certificate and key, and the CAs of the clients
    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    #: name of a client certificate → ``api`` or ``admin``; empty: the roles are in the certificates
    roles: Mapping[str, str] = {}


class RegistryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[glimpse] registry_…``. Times in seconds; the files are PEM."""

    #: the CA that signed the certificates of the registry's servers
    ca_file: Path | None = None
    #: this node's certificate, with its chain, and its key
    cert_file: Path | None = None
    key_file: Path | None = None
    #: total time of one call
    timeout: float = 30.0
    #: time of one new connection, up to its first response
    connect_timeout: float = 5.0
    #: idle connections that each worker keeps open to one server
    pool_size: int = 8


class NotificationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[oslo_messaging_notifications]`` with related options of ``[DEFAULT]`` (configuration 3, 5.4 and 5.5).

    ``retry`` is how often a message is retried: -1 without limit, 0 never. ``library`` has the values of the messaging
    library's options; they contain passwords and are therefore not shown.
    """

    drivers: tuple[str, ...] = ()
    topics: tuple[str, ...] = ("notifications",)
    retry: int = -1
    publisher_id: str = "image.localhost"
    disabled: tuple[str, ...] = ()
    routing_config: str = ""
    library: Mapping[str, Mapping[str, str]] = {}

    def __repr__(self) -> str:
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__ if name != "library")
        return f"NotificationOptions({', '.join(f'{name}={value!r}' for name, value in shown)})"


class SignatureOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Verification of signed images (configuration 5.8); ``trusted_certificates`` are ids in the key manager.

    With them, a signing certificate must be valid now and lead to one of them; without, as in Glance, its dates and
    issuer are not checked. ``library`` has the values of the key manager's sections; they contain passwords and are
    therefore not shown.
    """

    trusted_certificates: tuple[str, ...] = ()
    library: Mapping[str, Mapping[str, str]] = {}

    def __repr__(self) -> str:
        return f"SignatureOptions(trusted_certificates={self.trusted_certificates!r})"


class Imports(msgspec.Struct, frozen=True, kw_only=True):
    """Imports and staging (imports-and-stores 2, 12)."""

    enabled_import_methods: tuple[str, ...] = ("glance-direct", "web-download", "copy-image")
    #: beginnings of the names of properties that glance-download copies
    extra_properties: tuple[str, ...] = ("hw_", "trait:", "os_distro", "os_secure_boot", "os_type")
    #: where data wait for their import: without named stores, and with them; None: ``staging`` in ``data_dir``
    node_staging_uri: str | None = None
    filesystem_store_datadir: str | None = None
    #: where other nodes reach this one
    worker_self_reference_url: str | None = None
    #: kind of the store with staged data; its settings, None for a directory
    staging_store: str = "file"
    staging_entry: StoreSettings | None = None
    #: seconds that staged data stay whose images the database does not know
    staging_unknown_time: float = 86400.0


class ImportPlugins(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with imported data before they are stored, and their properties (imports-and-stores 2.16)."""

    #: in the order in which they run
    names: tuple[str, ...] = ()
    #: format that ``image_conversion`` converts to, the VMDK types that it takes, and the seconds that it may take
    output_format: str = "raw"
    vmdk_types: tuple[str, ...] = ("streamOptimized", "monolithicSparse")
    conversion_seconds: int = 7200
    #: properties that ``inject_image_metadata`` sets, and roles whose users get none
    inject: Mapping[str, str] = {}
    ignore_user_roles: tuple[str, ...] = ("admin",)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``app.py`` needs to build the service."""

    data_dir: Path
    listen: Listen
    metrics: Metrics
    logging: Logging
    database: DatabaseSettings
    auth: Auth
    policy: PolicySettings
    stores: Stores
    limits: Limits
    formats: Formats
    api: Api
    leases: Leases
    quotas: Quotas = Quotas()
    jobs: Jobs = Jobs()
    locations: Locations = Locations()
    imports: Imports = Imports()
    import_plugins: ImportPlugins = ImportPlugins()
    uri_filter: UriFilter = UriFilter()
    data_sources: DataSources = DataSources()
    store_calls: StoreCalls = StoreCalls()
    cors: Cors = Cors()
    #: ``[cors.NAME]`` by section: other rules for other origins
    more_cors: Mapping[str, Cors] = {}
    notifications: NotificationOptions = NotificationOptions()
    signatures: SignatureOptions = SignatureOptions()
    #: for a ``[database] connection`` to a registry
    registry: RegistryOptions = RegistryOptions()
    registry_server: RegistryServer = RegistryServer()
    #: schema-image.json as found in the configuration directories, else None
    custom_schema: Mapping[str, object] | None = None
    config_files: tuple[Path, ...] = ()
