"""The download script: one bash file for every release, and the plain text that it reads."""
