"""How long a scan takes: what it will show the model, how fast that is, and when it has to stop.

`estimate` counts before the searches begin, `course` follows them, `searching` runs them so that
they can be stopped and taken up again.
"""
