"""How many synthetic faces one core renders in a second: small grey ones as FER-2013's, frames as SFEW's (720x576).

::

    python benchmarks/rendering.py [--check]

Seconds are those the processor spent in this process, so that other processes disturb little; the best of three rounds.
"""

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np

from fer_transfer.synthetic.camera import Movie, draw_frame, draw_photograph

#: Faces and frames a second on one core.
BOUNDS = {"48x48, grey": 100.0, "720x576, colour": 10.0}


def photographs(count: int) -> None:
    for i in range(count):
        draw_photograph(np.random.default_rng([1, i]), i % 7, 48)


def frames(count: int) -> None:
    movies = [Movie.random(np.random.default_rng([2, k]), "Movie") for k in range(5)]
    for i in range(count):
        draw_frame(np.random.default_rng([3, i]), i % 7, movies[i % 5], (576, 720))


def rate(draw: Callable[[int], None], count: int, rounds: int = 3) -> float:
    """Pictures a second of processor time."""
    draw(count // 4)  # tables that are made once
    best = 0.0
    for _ in range(rounds):
        start = time.process_time()
        draw(count)
        best = max(best, count / (time.process_time() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    parser.add_argument("--count", type=int, default=200, help="faces a round; a fifth as many frames")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rates = {"48x48, grey": rate(photographs, args.count), "720x576, colour": rate(frames, max(4, args.count // 5))}
    for what, found in rates.items():
        print(f"{what:<16} {found:7.1f} a second (bound {BOUNDS[what]:.0f})")
    if args.check and any(found < BOUNDS[what] for what, found in rates.items()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
