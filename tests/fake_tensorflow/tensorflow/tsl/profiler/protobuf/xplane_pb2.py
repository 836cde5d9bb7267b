"""Reads the fake profiler's traces: JSON, where TensorFlow's are protocol buffers."""

import json
from types import SimpleNamespace


class XSpace:
    def ParseFromString(self, data):
        spans = json.loads(data)
        names = list(dict.fromkeys((name, kind) for name, kind, _, _ in spans))
        told = {
            number: SimpleNamespace(name=name, display_name=kind)
            for number, (name, kind) in enumerate(names)
        }
        events = [
            SimpleNamespace(
                metadata_id=names.index((name, kind)),
                offset_ps=start_ns * 1000,
                duration_ps=duration_ns * 1000,
                stats=[],
            )
            for name, kind, start_ns, duration_ns in spans
        ]
        line = SimpleNamespace(timestamp_ns=0, events=events)
        self.planes = [SimpleNamespace(name="/host:CPU", lines=[line], event_metadata=told)]
