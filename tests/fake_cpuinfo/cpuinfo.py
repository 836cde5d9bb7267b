"""Instead of py-cpuinfo, with which pytest-benchmark takes half a second to describe the CPU."""


def get_cpu_info():
    return {"brand_raw": "fake"}
