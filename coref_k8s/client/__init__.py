"""Studies, wherever they live: one interface to this machine and to a cluster, for the command line and for notebooks."""
