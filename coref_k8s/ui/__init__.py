"""`coref-k8s ui`: studies in the browser while they run. It reads and changes nothing."""
