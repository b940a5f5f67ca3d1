"""Create volume types named like the backends, and wait until all services report: make_types.py CONF BACKEND,…"""

import sys
import time

from cinder import objects
from cinder.common import config  # noqa: F401  # registers the options
from cinder.context import get_admin_context
from cinder.volume import volume_types
from oslo_config import cfg

#: Seconds.
PATIENCE = 120


def main() -> None:
    conf, names = sys.argv[1], sys.argv[2].split(",")
    objects.register_all()
    cfg.CONF(["--config-file", conf], project="cinder")
    context = get_admin_context()
    known = set(volume_types.get_all_types(context))
    for backend in names:
        for name, extra in ((backend, {}), (f"{backend}-multi", {"multiattach": "<is> True"})):
            if name not in known:
                volume_types.create(context, name, {"volume_backend_name": backend, **extra})
    end = time.monotonic() + PATIENCE
    while True:
        volume, scheduler = (
            {service.host for service in objects.ServiceList.get_all(context, {"binary": binary}) if service.is_up}
            for binary in ("cinder-volume", "cinder-scheduler")
        )
        if scheduler and {f"rig@{name}" for name in names} <= volume:
            return
        if time.monotonic() > end:
            raise SystemExit(f"only these volume services are up: {sorted(volume)}")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
