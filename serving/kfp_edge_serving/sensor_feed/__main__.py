"""`kfp-edge-sensor-feed` or `python -m kfp_edge_serving.sensor_feed`: feeds a model with MQTT messages."""

import argparse
import os
import sys
from pathlib import Path

from kfp_edge_serving.sensor_feed.configuration_table import ConfigurationError

_PROGRAM = "kfp-edge-sensor-feed"
_CONFIGURATION = "/etc/kfp-edge/sensor-feed.toml"


def main() -> int:
    """Run the feed until SIGTERM or SIGINT, or check its configuration, and return the exit code."""
    parser = argparse.ArgumentParser(_PROGRAM, description="Feed a model with MQTT messages (docs/sensor-feed.md).")
    configuration = os.environ.get("KFP_EDGE_FEED_CONFIG") or _CONFIGURATION
    parser.add_argument("--config", type=Path, default=configuration, help=f"TOML file (default {_CONFIGURATION})")
    parser.add_argument("--check", action="store_true", help="only check the configuration")
    options = parser.parse_args()
    try:
        from kfp_edge_serving.sensor_feed.settings_reader import read_settings

        settings = read_settings(options.config)
        if options.check:
            print(f"{options.config} is valid")
            return 0
        try:
            from kfp_edge_serving.sensor_feed.feed import run
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "paho":
                raise
            raise ConfigurationError("paho-mqtt is missing; install 'kfp-edge-serving[mqtt]'.") from error
        from kfp_edge_serving.telemetry.log import flush

        code = run(settings)
        flush()
        # a thread may still wait for an answer, which would delay the end of the interpreter
        os._exit(code)
    except ConfigurationError as error:
        print(f"{_PROGRAM}: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
