"""What only a GPU can show: one check for whoever has one."""
