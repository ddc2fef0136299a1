"""The operator with less patience, so that a test need not wait a minute and a half for what a silence tells."""

from marie_operator.cli import main
from marie_operator.runtime import client, transport
from tests.controlplane.faults.bounds import HASTY

client.WATCH_SILENCE = HASTY.watch
transport.CONNECT_TIMEOUT = HASTY.connect
transport.READ_TIMEOUT = HASTY.read
transport.CALL_TIMEOUT = HASTY.call

if __name__ == "__main__":
    main()
