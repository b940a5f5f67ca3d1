"""Print the ids of Cinder's own project and user: account_ids.py AUTH-URL PASSWORD"""

import sys

from keystoneauth1 import session
from keystoneauth1.identity import v3


def main() -> None:
    auth = v3.Password(
        auth_url=sys.argv[1],
        username="cinder",
        password=sys.argv[2],
        project_name="service",
        user_domain_id="default",
        project_domain_id="default",
    )
    made = session.Session(auth=auth)
    print(made.get_project_id(), made.get_user_id())


if __name__ == "__main__":
    main()
