"""The loop: observe, plan, apply. `plan` is pure; everything around it only carries."""
