"""The make-style build: stages as a graph of artifacts, run by Snakemake."""
