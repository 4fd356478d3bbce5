"""Everything that talks to Kubernetes: the raw-JSON client, the reflector, Job manifests, the lease."""
