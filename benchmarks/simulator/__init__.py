"""The real engine under virtual time against simulated services: hours of a job in seconds.

    virtual_time   the clock that jumps from timer to timer
    workload       what a job asks for, and how long its answers are
    voices         how a service says no, and what its headers tell
    meters         limits that the local endpoint does not have: changing, shared, growth
    service        one simulated service: admit, answer, settle
    queueing       the one that never refuses
    profiles       the services by name, and the jobs for them
    floor          the least time in which anybody could do a job
    greedy         what a client reaches that is told whether there is room
    carrier        a service in the place of the transport
    jobs           a job as the door makes it
    play           one run
    several        one run of several services at once
    measures       its figures
    trace          its figures second by second
    gates          the table, and the bounds of its cells
    checks         what else must hold

`python benchmarks/limits.py` prints all of it.
"""
