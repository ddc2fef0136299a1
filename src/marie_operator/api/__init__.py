"""MarieCluster and MarieJob: fields, rules, reasons, and the manifests that are generated from them."""
