"""The least that can work: a loop of paho that asks the server for each message, and publishes without waiting.

It acknowledges a message before the server has answered, keeps nothing, and stops at the first error.
"""

import http.client
import json
import sys
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion


def main() -> None:
    """Run until the process is killed."""
    broker, server, model = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    connection = http.client.HTTPConnection("127.0.0.1", server)

    def answer(client: Client, _data: Any, message: MQTTMessage) -> None:
        group = message.topic.split("/")[1]
        row = json.loads(message.payload)
        if model == "press":
            row["machine"] = group
        connection.request("POST", f"/v2/models/{model}/infer", json.dumps({"rows": [row]}))
        content = json.loads(connection.getresponse().read())
        for prediction in content.get("predictions", []):
            client.publish(f"predictions/{group}", json.dumps(prediction), qos=1)

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = answer
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", broker)
    client.subscribe("plant/+/state", qos=1)
    client.loop_forever()


if __name__ == "__main__":
    main()
