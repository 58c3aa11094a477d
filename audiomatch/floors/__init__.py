"""The floors: what can be had without listening to whether the recording says the text.

A matcher that does not clearly beat all of them has learned the data's habits, not the task.
"""
