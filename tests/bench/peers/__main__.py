"""Run the comparison and print its table: see ``measure``.

python -m tests.bench.peers [--orders N] [--threads N]
"""

from __future__ import annotations

import sys

from tests.bench.measuring import on_a_broker, parser_of, say
from tests.bench.peers import measure


def main() -> int:
    """Measure and print."""
    parser = parser_of("peers", measure.__doc__)
    parser.add_argument("--orders", type=int, default=100_000, help="simulated orders, 1.1 such events each (100000)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each peer (2)")
    options = parser.parse_args()
    with on_a_broker() as (found, directory):
        try:
            runs = measure.measure(
                found.bootstrap, "peers-", directory, orders=options.orders, threads=options.threads, say=say
            )
        except measure.PeersUnavailable as error:
            say(f"error: {error}")
            return 1
    say(f"breaches, the same by all: {len(runs[0].breaches):,}")
    say("| contender | events/s of processor time, cold | warm | events/s by the clock | of gridclock's, cold | warm |")
    say("| --- | ---: | ---: | ---: | ---: | ---: |")
    own_cold, own_warm, _ = runs[-1].rates
    for run in runs:
        cold, warm, wall = run.rates
        say(f"| {run.name} | {cold:,.0f} | {warm:,.0f} | {wall:,.0f} | {cold / own_cold:.2f} | {warm / own_warm:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
