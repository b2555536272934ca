"""Everything one can do to a stack without a cloud: compose it, judge it, run it here."""
