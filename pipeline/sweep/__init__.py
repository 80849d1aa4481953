"""Many models judged one by one: a plan, one result a version, and what they say together.

`plan` lists what to judge, `sample_table` which samples each gets, `keys` names what a verdict
depends on, `attempts` counts starts, `results` holds one file a version, and the rest joins them:
`numbers`, `rows`, `page` and `formats`.
"""
