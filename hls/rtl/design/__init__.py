"""From a plan to a design: the top module, the modules beside it, and what `design.json` says of them."""
