"""One test at several variants of its code: what is compared, and what its speeds say"""
