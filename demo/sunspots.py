"""What the numbers of sunspots have to tell.

``sunspots.csv`` holds the yearly mean sunspot number from 1700 to 2008, as the
National Geophysical Data Center of the United States published it; it is in the
public domain.
"""

import cmath
import csv
from pathlib import Path

DATA = Path(__file__).with_name("sunspots.csv")


def by_year() -> dict[int, float]:
    """The number of each year."""
    with DATA.open(newline="") as file:
        return {int(row["year"]): float(row["sunspots"]) for row in csv.DictReader(file)}


def maxima(numbers: dict[int, float], apart: int = 4) -> list[int]:
    """The years that have more sunspots than all `apart` years before and after."""
    found = []
    for year, number in numbers.items():
        around = [numbers.get(year + i, 0) for i in range(-apart, apart + 1) if i]
        if number > max(around):
            found.append(year)
    return found


def strongest_period(numbers: dict[int, float]) -> float:
    """The length in years of the wave that explains most: the peak of the periodogram."""
    mean = sum(numbers.values()) / len(numbers)

    def power(period: float) -> float:
        turn = 2j * cmath.pi / period
        return abs(sum((n - mean) * cmath.exp(turn * year) for year, n in numbers.items()))

    return max((tenths / 10 for tenths in range(20, 400)), key=power)
