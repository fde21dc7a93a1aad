"""Detector networks: data, architecture, metric and classical baselines."""
