"""What a job is: here a price in euro."""

import random
import time

RATES = {"EUR": 1.0, "USD": 0.92, "CHF": 1.04}


def work(number: int) -> float:
    """Do the job of that number."""
    time.sleep(0.04)  # asking a service
    return number * RATES[currency(number)]


def currency(number: int) -> str:
    """Tell what a customer pays in: one of fifty in francs."""
    return random.Random(number).choices(["EUR", "USD", "CHF"], [60, 38, 2])[0]
