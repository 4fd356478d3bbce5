"""Tests of the chart, the manifests and the images."""
