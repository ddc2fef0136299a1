"""Times of the recordings, in seconds, before ``speed`` divides them."""

INSERTED = 0.2
"""From the reply to a submission until its rows appear."""
CYCLE = 1.0
"""Between two rounds of the scheduler that had a slot to give."""
SETTLED = 0.1
"""From a task's end until the scheduler sees what it makes possible; it has given the slot away before that."""
LEASE = 5.5
"""From a dispatch until a task that failed can be dispatched again; attempts begin at about 1, 6 and 12 s."""
RETRY_DELAY = 2.0
"""The same from the failure, for attempts that took longer than the lease."""
RETRY_LIMIT = 2
NOTICED = 0.5
"""From the death of a busy worker until its task is in retry."""
LAPSE = 6.0
"""For how long a dead worker stays registered."""
CANCELLED = 0.6
"""From the end of a live worker's registration until its call is cancelled."""
REAPED = 10.0
"""Between two looks for expired tickets; what they free can go to nobody until the look after."""
STARTED_IDLE, STARTED = 5.0, 1.1
"""From the first answer over HTTP until the scheduler runs, without and with an executor there."""
