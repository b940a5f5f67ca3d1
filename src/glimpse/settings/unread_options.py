"""Names of options in Glance's configuration files that Glimpse does not read itself (configuration 3 to 7).

Not used yet: without effect until their feature exists. Removed: Glance does not have them any more. Without effect:
there is nothing in Glimpse that they could change. Of libraries: passed on to them.
"""

from __future__ import annotations

from collections.abc import Mapping

_KEYSTONEAUTH = (
    "auth_type auth_section auth_url username user_id password system_scope domain_id domain_name project_id "
    "project_name project_domain_id project_domain_name user_domain_id user_domain_name trust_id default_domain_id "
    "default_domain_name tenant_id tenant_name cafile certfile keyfile insecure timeout collect_timing split_loggers "
    "region_name valid_interfaces endpoint_override service_type service_name connect_retries connect_retry_delay "
    "status_code_retries status_code_retry_delay min_version max_version version interface "
    "application_credential_id application_credential_name application_credential_secret token passcode"
)

_OTHER_LOGINS = (
    " auth_plugin user_name memcache_servers endpoint url identity_provider protocol client_id client_secret scope "
    "access_token access_token_endpoint access_token_type discovery_endpoint redirect_uri code authorization_code "
    "device_authorization_endpoint code_challenge_method idp_otp_key oauth2_endpoint oauth2_client_id "
    "oauth2_client_secret auth_methods"
)

_NOT_USED_YET: dict[str, str] = {
    "DEFAULT": (
        "digest_algorithm image_cache_sqlite_db metadata_source_path pydev_worker_debug_host "
        "pydev_worker_debug_port executor_thread_pool_size rpc_response_timeout rpc_ping_enabled "
        # logging
        "log_config_append use_syslog syslog_log_facility use_journal use_stderr log_color log_date_format "
        "logging_context_format_string logging_default_format_string logging_user_identity_format "
        "logging_debug_format_suffix logging_exception_prefix log_rotation_type log_rotate_interval "
        "log_rotate_interval_type max_logfile_count max_logfile_size_mb rate_limit_interval rate_limit_burst "
        "rate_limit_except_level publish_errors instance_format instance_uuid_format fatal_deprecations"
    ),
    "task": "task_executor work_dir",
    "paste_deploy": "config_file",
    "oslo_policy": (
        "remote_content_type remote_ssl_verify_server_crt remote_ssl_ca_crt_file remote_ssl_client_crt_file "
        "remote_ssl_client_key_file remote_timeout"
    ),
    "oslo_middleware": "max_request_body_size",
    "healthcheck": ("path backends ignore_proxied_requests disable_by_file_paths enable_by_file_paths ignore_path"),
    "oslo_concurrency": "disable_process_locking lock_path",
    "profiler": (
        "enabled trace_sqlalchemy trace_requests hmac_keys connection_string es_doc_type es_scroll_time es_scroll_size "
        "socket_timeout sentinel_service_name filter_error_trace"
    ),
    "oslo_reports": "log_dir file_event_handler file_event_handler_interval",
    "os_brick": "lock_path",
}

#: Sections that libraries read, with the options of all their authentication methods.
_OF_LIBRARIES: dict[str, str] = {
    "keystone_authtoken": (
        "www_authenticate_uri auth_version delay_auth_decision http_connect_timeout http_request_max_retries "
        "memcached_servers token_cache_time memcache_security_strategy memcache_secret_key memcache_tls_enabled "
        "memcache_tls_cafile memcache_tls_certfile memcache_tls_keyfile memcache_tls_allowed_ciphers "
        "memcache_sasl_enabled memcache_username memcache_password memcache_pool_dead_retry memcache_pool_maxsize "
        "memcache_pool_socket_timeout memcache_pool_unused_timeout memcache_pool_conn_get_timeout "
        "memcache_use_advanced_pool include_service_catalog service_token_roles service_token_roles_required "
        "enforce_token_bind cache " + _KEYSTONEAUTH + _OTHER_LOGINS
    ),
    "oslo_limit": (
        "endpoint_id endpoint_service_name endpoint_service_type endpoint_region_name endpoint_interface "
        + _KEYSTONEAUTH
        + _OTHER_LOGINS
    ),
    "oslo_messaging_rabbit": (
        "amqp_durable_queues amqp_auto_delete rpc_conn_pool_size conn_pool_min_size conn_pool_ttl ssl ssl_version "
        "ssl_key_file ssl_cert_file ssl_ca_file ssl_enforce_hostname_verification ssl_enforce_fips_mode "
        "kombu_reconnect_delay kombu_reconnect_splay kombu_compression kombu_missing_consumer_retry_timeout "
        "kombu_failover_strategy rabbit_login_method rabbit_retry_interval rabbit_retry_backoff rabbit_interval_max "
        "rabbit_ha_queues rabbit_quorum_queue rabbit_transient_quorum_queue rabbit_quorum_delivery_limit "
        "rabbit_quorum_max_memory_length rabbit_quorum_max_memory_bytes rabbit_transient_queues_ttl "
        "rabbit_qos_prefetch_count heartbeat_timeout_threshold heartbeat_rate direct_mandatory_flag "
        "enable_cancel_on_failover use_queue_manager hostname processname rabbit_stream_fanout"
    ),
    "oslo_messaging_kafka": (
        "kafka_max_fetch_bytes kafka_consumer_timeout consumer_group producer_batch_timeout producer_batch_size "
        "compression_codec enable_auto_commit max_poll_records security_protocol sasl_mechanism ssl_cafile "
        "ssl_client_cert_file ssl_client_key_file ssl_client_key_password"
    ),
    "key_manager": "backend reauthenticate " + _KEYSTONEAUTH,
    "barbican": (
        "barbican_endpoint barbican_api_version auth_endpoint retry_delay number_of_retries verify_ssl verify_ssl_path "
        "barbican_endpoint_type barbican_region_name send_service_user_token " + _KEYSTONEAUTH
    ),
    "barbican_service_user": _KEYSTONEAUTH,
    "vault": (
        "root_token_id auth_method approle_role_id approle_secret_id token_role token_file auth_path kv_mountpoint "
        "kv_path kv_version vault_url ssl_ca_crt_file use_ssl namespace timeout"
    ),
}

_REMOVED: dict[str, str] = {
    "DEFAULT": (
        "backlog tcp_keepidle client_socket_timeout http_keepalive max_header_line eventlet_executor_pool_size "
        "data_api use_user_token admin_user admin_password admin_tenant_name auth_url auth_strategy auth_region "
        "owner_is_tenant enable_v1_api enable_v2_api enable_v1_registry enable_v2_registry location_strategy "
        "store_type_preference stores allow_additional_image_properties cert_file key_file ca_file "
        "secure_proxy_ssl_header admin_role send_identity_headers cache_prefetcher_interval enforce_secure_rbac"
    ),
    "task": "eventlet_executor_pool_size",
    "database": "min_pool_size sqlalchemy_min_pool_size sql_min_pool_size use_tpool mysql_enable_ndb",
    "oslo_policy": "enforce_scope",
    "keystone_authtoken": "identity_uri auth_uri auth_host auth_port auth_protocol",
}


#: Options of libraries that Glimpse uses in one way only.
_WITHOUT_EFFECT: dict[str, str] = {
    "database": "asyncio_connection asyncio_slave_connection backend db_backend",
    "image_import_opts": "max_parallel_stores",
    "taskflow_executor": "engine_mode max_workers",
    "wsgi": "python_interpreter task_pool_threads",
}

#: Why some of them have no effect: the end of the remark about them.
REASONS: Mapping[tuple[str, str], str] = {
    ("image_import_opts", "max_parallel_stores"): "an import writes to all of its stores at the same time",
    ("taskflow_executor", "engine_mode"): "[glimpse] job_threads sets how many jobs a worker runs at the same time",
    ("taskflow_executor", "max_workers"): "[glimpse] job_threads sets how many jobs a worker runs at the same time",
    ("wsgi", "task_pool_threads"): "[glimpse] job_threads sets how many jobs a worker runs at the same time",
    ("wsgi", "python_interpreter"): "helper programs are run directly",
}


def _split(table: dict[str, str]) -> dict[str, frozenset[str]]:
    return {section: frozenset(names.split()) for section, names in table.items()}


NOT_USED_YET: Mapping[str, frozenset[str]] = _split(_NOT_USED_YET)
REMOVED: Mapping[str, frozenset[str]] = _split(_REMOVED)
WITHOUT_EFFECT: Mapping[str, frozenset[str]] = _split(_WITHOUT_EFFECT)
OF_LIBRARIES: Mapping[str, frozenset[str]] = _split(_OF_LIBRARIES)

#: Secret options of libraries.
LIBRARY_SECRETS = frozenset(
    {
        "password", "passcode", "token", "memcache_secret_key", "memcache_password", "application_credential_secret",
        "client_secret", "access_token", "code", "authorization_code", "idp_otp_key", "oauth2_client_secret",
        "ssl_client_key_password", "root_token_id", "approle_secret_id",
    }
)  # fmt: skip

#: Prefixes of removed options, by section.
REMOVED_PREFIXES: Mapping[str, tuple[str, ...]] = {"DEFAULT": ("registry_",), "keystone_authtoken": ("admin_",)}

#: Prefixes of the options of drivers that do not exist here (store-formats 11).
STORE_PREFIXES: tuple[str, ...] = ("vmware_",)
