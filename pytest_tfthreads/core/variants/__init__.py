"""One test at several variants of its code: what is asked for, what was measured, what it says"""
