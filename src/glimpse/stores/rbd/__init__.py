"""Store ``rbd``: images as block devices in a pool of a Ceph cluster (store-formats 8).

At run time: ``store`` the calls of a store · ``connection`` its connection to the cluster · ``writer`` writes one image
until it is visible under its name · ``reader`` reads one · ``pieces`` how both cut data · ``removal`` removes one ·
``ceph_errors`` maps errors of the libraries to typed errors · ``uri`` locations. At start: ``options`` the operator's
options · ``ceph_conf`` the cluster's id. ``stores.ceph_modules`` loads Ceph's Python modules.
"""
