"""One gate a file: a verdict on what was found out about a candidate. Pure; `governance.gate_registry` lists them."""
