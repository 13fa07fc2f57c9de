"""What transactions cost, measured: `python -m gas` compares with snapshot.json, `--write` replaces it."""
