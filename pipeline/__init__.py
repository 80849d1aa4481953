"""Which stages run, in which order, with which settings, remembered where and shown how.

Read `scan` first: it is the walk of one model from file to verdict. `fetch` brings the model to a
folder of the scan's own, and `native` exports one that is not ONNX. What touches an untrusted file
is gathered in `untrusted` and runs in a child process with limits, by `isolation`. `config` gathers
the settings, `samples` reads the clean images, `store` remembers results, `report` and `plots` show
them. Nothing here knows MLflow or a command line.
"""
