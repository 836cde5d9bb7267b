"""What runs in the measuring processes; the pytest process imports none of it but the recorder."""
