"""From a graph to a differentiable torch twin that is proven to be the model.

`convert` builds the torch module and `parity` proves it against the file. `sites` finds where
neuron noise can enter and where features end, and `build` puts the twin together. `precondition`
checks that clean samples and model fit, `fx_graph` cuts and runs the twin's graph, and `summary` is
what reports show of it.
"""
