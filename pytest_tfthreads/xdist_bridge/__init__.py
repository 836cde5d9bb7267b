"""The only package that knows pytest-xdist: who deals tests to whom, and what they tell each other."""  # noqa: E501
