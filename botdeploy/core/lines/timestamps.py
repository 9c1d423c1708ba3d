"""The forms in which loggers write a time."""

from __future__ import annotations

import re

DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
TIME = r"\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?"
ZONE = r"(?:Z| ?[+-]\d\d:?\d\d| UTC| GMT| [A-Z]{3,4}(?= \d{4}))?"
DATE = (
    rf"(?:\d{{4}}[-/.]\d\d[-/.]\d\d|\d\d[-/]\d\d[-/]\d{{2,4}}|\d\d\.\d\d\.\d{{4}}"
    rf"|(?:{DAY},? )?(?:{MONTH} +\d\d?|\d\d?[ -]{MONTH})(?:,?[ -]\d{{4}})?)"
)
HEADER_TIME = re.compile(
    rf"\s*[\[(<]?(?:{DATE}(?:[T _,]+{TIME})?|\d\d-\d\d {TIME}|{TIME}(?: ?[AP]M)?"
    rf"|\d{{10,19}}(?:\.\d+)?){ZONE}(?: ?[AP]M\b)?(?: \d{{4}})?[\])>]?(?![\w/%])[\s,|:-]*"
)
"""A time at the front of a line or of a field, and the marks that part it from what follows."""
