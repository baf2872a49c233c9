"""The demonstration: three methods learn four sites on this machine, one site after the other."""

from anamnesis.demo.run import run_demo

__all__ = ["run_demo"]
