"""Pairs on disk to batches: readers of the common layouts, a mixture of them, and a loader that resumes anywhere."""
