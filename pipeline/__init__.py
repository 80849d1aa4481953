"""Which stages run, in which order, with which settings, remembered where and shown how.

Read `scan` first: it is the walk of one model from file to verdict. `config` gathers the settings,
`samples` reads the clean images, `store` remembers results, `report` and `plots` show them. Nothing
here knows MLflow or a command line.
"""
