# SPDX-License-Identifier: MIT
"""The API of the gateway as clients use it, in front of daemons."""
from gateway import Gateway
from shc import Daemon, equal, main


def answers():
    with Daemon() as d, Gateway(d) as g:
        equal(g.does("POST", "/counter/increment", {"counter_id": "x"})["new_value"], 1)
        equal(g.value("x"), 1)


if __name__ == "__main__":
    main([answers])
