"""Helm's program, as far as ``docs/install.md`` calls it for a release, where only its library is installed."""

import argparse
import os
from pathlib import Path

import helm_python
import yaml

SECONDS = 300


def main() -> None:
    """Carries out what the arguments say, as ``helm`` would."""
    parser = argparse.ArgumentParser(prog="helm")
    parser.add_argument("verb", choices=("install", "test", "uninstall"))
    parser.add_argument("name")
    parser.add_argument("chart", nargs="?", default="")
    parser.add_argument("-n", dest="namespace", required=True)
    parser.add_argument("--values", type=Path)
    parser.add_argument("--wait", action="store_const", const="watcher")
    arguments = parser.parse_args()
    with helm_python.Config(kubeconfig_path=os.environ["KUBECONFIG"], namespace=arguments.namespace) as client:
        match arguments.verb:
            case "install":
                values = yaml.safe_load(arguments.values.read_text())
                client.install(arguments.chart, arguments.name, values, wait=arguments.wait, timeout=SECONDS)
            case "test":
                client.test(arguments.name, timeout=SECONDS)
            case _:
                client.uninstall(arguments.name)


if __name__ == "__main__":
    main()
