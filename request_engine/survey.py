"""Match a file with the rows of earlier runs, so that a run can say what it found and begin."""

from request_engine.errors import Stopped
from request_engine.journal import Journal
from request_engine.requests_file import RequestsFile
from request_engine.tally import Tally


async def survey(requests: RequestsFile, journal: Journal, tally: Tally) -> bool:
    """Find the row of every request that has one; those are not read again.

    Returns whether that could be done before the run: of a pipe nothing is known until it is read,
    and where nothing was left by earlier runs there is nothing to match.
    """
    if not (journal.claimable and requests.can_be_read_twice):
        return False
    try:
        async for number, content in requests.contents():
            if claim := journal.claim_content(number, content):
                tally.claim(claim)
                requests.leave_out(number)
    except Stopped:  # it cannot be read to its end, which the run will say again when it gets there
        pass
    requests.rewind()
    return True
