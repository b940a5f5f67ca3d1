"""Store ``swift``: images as objects of an OpenStack Object Storage (store-formats 7).

At start: ``options`` the operator's options · ``references`` credentials from the options or the reference file ·
``driver`` the kind of store.

At run time: ``single_tenant`` and ``multi_tenant`` the stores, both on ``store`` · ``writer`` writes segments ·
``manifests`` makes one object of segments, and deletes it with them · ``reader`` reads a range and resumes ·
``listing`` lists a container · ``locations`` URIs, names of containers and segments · ``temporary_urls`` signs them ·
``trusts`` of Keystone.

Below them: ``account`` sends requests to one account and renews its token · ``login`` and ``keystone`` get tokens ·
``http`` the connections · ``answers`` maps statuses to typed errors.
"""
