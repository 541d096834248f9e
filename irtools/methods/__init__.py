"""Interference reduction: `registry` names the methods, `separator` says what each of them takes and returns."""
