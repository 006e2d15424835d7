"""The sensor feed: from MQTT messages to rows, and from the model's answers to predictions and alarms over MQTT."""
