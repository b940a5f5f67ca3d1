"""Run as a process: four threads that create, change and read images until each has done its share.

Arguments: the database's URL, the number of images for each thread. Prints the id of an image once it is stored.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.domain.image import ImageChange
from tests.contract.db.backends import settings_for
from tests.contract.db.examples import LIFETIME, OWNER, STORED, image, upload_job

THREADS = 4


def work(database: SqlDatabase, rounds: int) -> None:
    for number in range(rounds):
        stored = image(name=f"n{number}", properties={"a": "1", "b": "2"}, tags=("t",))
        database.create_image(stored)
        held = upload_job(stored.id)
        database.begin_upload(held, LIFETIME)
        database.update_image(stored.id, ImageChange(set_properties={"a": "2"}, add_tags=("u",)))
        database.finish_upload(held, STORED)
        assert database.get_image(stored.id, OWNER).tags == ("t", "u")
        # in one piece, whatever the other threads write
        os.write(1, f"{stored.id}\n".encode())


def main(url: str, rounds: int) -> None:
    database = SqlDatabase(connect(settings_for(url)))
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(work, database, rounds) for _ in range(THREADS)]:
            done.result()
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
