"""Content-addressed storage: LocalStore (embedded; serves and fetches over HTTP) and KuboStore (a daemon).

CIDs are those of Kubo under the profile unixfs-v1-2025, and every block is verified whenever it is read.
"""
