"""Behaviours: what a matcher does with answers planted in matches of clips it has not heard.

After CheckList (Ribeiro et al., 2020, "Beyond accuracy: behavioral testing of NLP models").
"""
